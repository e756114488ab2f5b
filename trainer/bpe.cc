#include "trainer/bpe.h"

#include <algorithm>
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

Bpe::Bpe(BpeVocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text =
        vocabulary_.byte_level ? std::string(1, static_cast<char>(byte)) : ByteToken(byte);
    const auto it = vocabulary_.ids.find(text);
    byte_ids_[static_cast<std::size_t>(byte)] = it == vocabulary_.ids.end() ? -1 : it->second;
  }
  for (const BpeVocabulary::Merge& merge : vocabulary_.merges) {
    merges_.insert_or_assign(PairKey(merge.left, merge.right), Merged{merge.rank, merge.result});
  }
  vocabulary_.merges = {};
}

const Bpe::Merged* Bpe::FindMerge(std::int32_t left, std::int32_t right) const {
  const auto it = merges_.find(PairKey(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

std::vector<std::int32_t> Bpe::ByteIds(std::string_view character) const {
  std::vector<std::int32_t> ids;
  for (const char c : character) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
  return ids;
}

// What has no token is left out where there is no token for the unknown, as Hugging Face's
// tokenizers do: its neighbours then stand side by side, and may merge.
Bpe::Encoded Bpe::Symbols(std::string_view piece) const {
  Encoded symbols;
  symbols.ids.reserve(piece.size());
  bool after_unknown = false;
  for (std::size_t at = 0; at < piece.size();) {
    const std::string_view character = piece.substr(at, Utf8At(piece, at).bytes);
    at += character.size();
    std::vector<std::int32_t> ids = {-1};
    if (vocabulary_.byte_level) {
      ids = ByteIds(character);
    } else if (const auto known = vocabulary_.ids.find(std::string(character));
               known != vocabulary_.ids.end()) {
      ids = {known->second};
    } else if (vocabulary_.byte_fallback) {
      ids = ByteIds(character);  // all of them or none
      if (std::count(ids.begin(), ids.end(), -1) > 0) ids = {-1};
    }
    bool lost = false;
    for (const std::int32_t id : ids) {
      const bool unknown = id < 0;
      if (!unknown) {
        symbols.ids.push_back(id);
      } else if (!vocabulary_.unknown) {
        lost = true;
      } else if (!after_unknown || !vocabulary_.fuse_unknown) {
        symbols.ids.push_back(*vocabulary_.unknown);
      }
      after_unknown = unknown;
    }
    symbols.dropped += lost ? 1 : 0;
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

Bpe::Encoded Bpe::EncodeUncached(std::string_view piece) const {
  if (vocabulary_.ignore_merges) {
    const auto whole = vocabulary_.ids.find(std::string(piece));
    if (whole != vocabulary_.ids.end()) return {{whole->second}};
  }
  Encoded encoded = Symbols(piece);
  encoded.ids = MergeAll(std::move(encoded.ids));
  return encoded;
}

void Bpe::Encode(std::string_view piece, std::vector<std::int32_t>* ids) {
  const auto append = [&](const Encoded& part) {
    ids->insert(ids->end(), part.ids.begin(), part.ids.end());
    dropped_ += part.dropped;
  };
  if (piece.size() > kCachedBytes) return append(EncodeUncached(piece));
  std::string key(piece);
  auto cached = cache_.find(key);
  if (cached == cache_.end()) {
    if (cache_.size() >= kCachedPieces) cache_.clear();
    Encoded part = EncodeUncached(piece);
    cached = cache_.emplace(std::move(key), std::move(part)).first;
  }
  append(cached->second);
}

}  // namespace tributary::trainer
