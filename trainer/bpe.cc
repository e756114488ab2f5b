#include "trainer/bpe.h"

#include <array>
#include <cstdio>
#include <functional>
#include <queue>
#include <tuple>

#include "trainer/utf8.h"

namespace tributary::trainer {
namespace {

constexpr std::size_t kCachedPieces = 1 << 17;
constexpr std::size_t kCachedBytes = 64;  // longer pieces seldom come again

std::uint64_t PairKey(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

std::string ByteToken(int byte) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "<0x%02X>", static_cast<unsigned>(byte));
  return text.data();
}

}  // namespace

Result<Bpe> Bpe::Create(BpeVocabulary vocabulary) {
  Bpe bpe(std::move(vocabulary));
  TRIBUTARY_RETURN_IF_ERROR(bpe.BuildTables());
  return bpe;
}

Status Bpe::BuildTables() {
  for (int byte = 0; byte < 256 && (vocabulary_.byte_level || vocabulary_.byte_fallback); ++byte) {
    const std::string text =
        vocabulary_.byte_level ? std::string(1, static_cast<char>(byte)) : ByteToken(byte);
    const auto it = vocabulary_.ids.find(text);
    if (it == vocabulary_.ids.end()) {
      return InvalidArgumentError("model.vocab: no token for byte " + std::to_string(byte) +
                                  "; a vocabulary over bytes has all 256");
    }
    byte_ids_.push_back(it->second);
  }
  if (byte_ids_.empty() && !vocabulary_.unknown) {
    return InvalidArgumentError(
        "model.unk_token: must be given where there are no tokens for bytes, or characters outside "
        "the vocabulary would vanish");
  }
  for (const BpeVocabulary::Merge& merge : vocabulary_.merges) {
    merges_.insert_or_assign(PairKey(merge.left, merge.right), Merged{merge.rank, merge.result});
  }
  vocabulary_.merges = {};
  return OkStatus();
}

const Bpe::Merged* Bpe::FindMerge(std::int32_t left, std::int32_t right) const {
  const auto it = merges_.find(PairKey(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

std::vector<std::int32_t> Bpe::Symbols(std::string_view piece) const {
  std::vector<std::int32_t> symbols;
  symbols.reserve(piece.size());
  bool after_unknown = false;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t size = vocabulary_.byte_level ? 1 : Utf8At(piece, at).bytes;
    const std::string_view character = piece.substr(at, size);
    const auto known = vocabulary_.byte_level ? vocabulary_.ids.end()
                                              : vocabulary_.ids.find(std::string(character));
    at += size;
    const bool unknown = known == vocabulary_.ids.end() && byte_ids_.empty();
    if (known != vocabulary_.ids.end()) {
      symbols.push_back(known->second);
    } else if (unknown) {
      if (!after_unknown || !vocabulary_.fuse_unknown) symbols.push_back(*vocabulary_.unknown);
    } else {
      for (const char c : character) symbols.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    }
    after_unknown = unknown;
  }
  return symbols;
}

// Applies the best-ranked merge, leftmost first, until none is left; a heap keeps long pieces
// cheap.
std::vector<std::int32_t> Bpe::MergeAll(std::vector<std::int32_t> ids) const {
  const auto size = static_cast<std::int32_t>(ids.size());
  std::vector<std::int32_t> next(ids.size());
  std::vector<std::int32_t> previous(ids.size());
  for (std::int32_t i = 0; i < size; ++i) {
    next[i] = i + 1;
    previous[i] = i - 1;
  }
  // (rank, position of the left part, left id, right id): an entry whose ids have changed is stale.
  using Candidate = std::tuple<std::int32_t, std::int32_t, std::int32_t, std::int32_t>;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto consider = [&](std::int32_t left) {
    if (left < 0 || next[left] >= size) return;
    const std::int32_t right_id = ids[next[left]];
    if (const Merged* merge = FindMerge(ids[left], right_id)) {
      heap.emplace(merge->rank, left, ids[left], right_id);
    }
  };
  for (std::int32_t i = 0; i < size; ++i) consider(i);
  while (!heap.empty()) {
    const auto [rank, left, left_id, right_id] = heap.top();
    heap.pop();
    const std::int32_t right = ids[left] == left_id ? next[left] : size;
    if (right >= size || ids[right] != right_id) continue;
    ids[left] = FindMerge(left_id, right_id)->result;
    ids[right] = -1;
    next[left] = next[right];
    if (next[left] < size) previous[next[left]] = left;
    consider(previous[left]);
    consider(left);
  }
  std::erase(ids, -1);
  return ids;
}

std::vector<std::int32_t> Bpe::EncodeUncached(std::string_view piece) const {
  if (vocabulary_.ignore_merges) {
    const auto whole = vocabulary_.ids.find(std::string(piece));
    if (whole != vocabulary_.ids.end()) return {whole->second};
  }
  return MergeAll(Symbols(piece));
}

void Bpe::Encode(std::string_view piece, std::vector<std::int32_t>* ids) {
  if (piece.size() > kCachedBytes) {
    const std::vector<std::int32_t> part = EncodeUncached(piece);
    ids->insert(ids->end(), part.begin(), part.end());
    return;
  }
  std::string key(piece);
  auto cached = cache_.find(key);
  if (cached == cache_.end()) {
    if (cache_.size() >= kCachedPieces) cache_.clear();
    std::vector<std::int32_t> part = EncodeUncached(piece);
    cached = cache_.emplace(std::move(key), std::move(part)).first;
  }
  ids->insert(ids->end(), cached->second.begin(), cached->second.end());
}

}  // namespace tributary::trainer
