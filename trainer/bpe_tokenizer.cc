#include "trainer/bpe_tokenizer.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>

namespace tributary::trainer {
namespace {

constexpr std::size_t kCachedPieces = 1 << 17;

std::uint64_t PairKey(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

}  // namespace

BpeTokenizer::BpeTokenizer(BpeModel model, PreTokenizer pre_tokenizer)
    : model_(std::move(model)), pre_tokenizer_(std::move(pre_tokenizer)) {}

Result<std::unique_ptr<Tokenizer>> BpeTokenizer::Create(BpeModel model) {
  TRIBUTARY_ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer, PreTokenizer::Create(model.pattern));
  std::unique_ptr<BpeTokenizer> tokenizer(
      new BpeTokenizer(std::move(model), std::move(pre_tokenizer)));
  TRIBUTARY_RETURN_IF_ERROR(tokenizer->BuildTables());
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

Status BpeTokenizer::BuildTables() {
  for (std::size_t id = 0; id < model_.tokens.size(); ++id) {
    const auto number = static_cast<std::int32_t>(id);
    const bool special = std::count(model_.special.begin(), model_.special.end(), number) > 0;
    if (!special && !model_.tokens[id].empty()) token_ids_[model_.tokens[id]] = number;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = token_ids_.find(std::string(1, static_cast<char>(byte)));
    if (it == token_ids_.end()) {
      return InvalidArgumentError("tokenizer.json: no token for byte " + std::to_string(byte) +
                                  "; a byte-level vocabulary has all 256");
    }
    byte_ids_.push_back(it->second);
  }
  for (std::size_t rank = 0; rank < model_.merges.size(); ++rank) {
    const auto [left, right] = model_.merges[rank];
    const auto it = token_ids_.find(model_.tokens[left] + model_.tokens[right]);
    if (it == token_ids_.end()) {
      return InvalidArgumentError("tokenizer.json: merge " + std::to_string(rank) +
                                  " makes no token of the vocabulary");
    }
    merges_.try_emplace(PairKey(left, right), Merge{static_cast<std::int32_t>(rank), it->second});
  }
  return OkStatus();
}

const BpeTokenizer::Merge* BpeTokenizer::FindMerge(std::int32_t left, std::int32_t right) const {
  const auto it = merges_.find(PairKey(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

// Applies the best-ranked merge, leftmost first, until none is left; a heap keeps long pieces
// cheap.
std::vector<std::int32_t> BpeTokenizer::MergePiece(std::string_view piece) const {
  const auto size = static_cast<std::int32_t>(piece.size());
  std::vector<std::int32_t> ids(piece.size());
  std::vector<std::int32_t> next(piece.size());
  std::vector<std::int32_t> previous(piece.size());
  for (std::int32_t i = 0; i < size; ++i) {
    ids[i] = byte_ids_[static_cast<unsigned char>(piece[i])];
    next[i] = i + 1;
    previous[i] = i - 1;
  }
  // (rank, position of the left part, left id, right id): an entry whose ids have changed is stale.
  using Candidate = std::tuple<std::int32_t, std::int32_t, std::int32_t, std::int32_t>;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto consider = [&](std::int32_t left) {
    if (left < 0 || next[left] >= size) return;
    const std::int32_t right_id = ids[next[left]];
    if (const Merge* merge = FindMerge(ids[left], right_id)) {
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

const std::vector<std::int32_t>& BpeTokenizer::EncodePiece(std::string_view piece) {
  std::string key(piece);
  const auto cached = cache_.find(key);
  if (cached != cache_.end()) return cached->second;
  if (cache_.size() >= kCachedPieces) cache_.clear();
  std::vector<std::int32_t> ids;
  const auto whole = model_.ignore_merges ? token_ids_.find(key) : token_ids_.end();
  if (whole != token_ids_.end()) {
    ids = {whole->second};
  } else {
    ids = MergePiece(piece);
  }
  return cache_.emplace(std::move(key), std::move(ids)).first->second;
}

Result<std::vector<std::int32_t>> BpeTokenizer::Encode(std::string_view text) {
  std::string prefixed;
  const bool spaced = text.empty() || text[0] == ' ';
  if (model_.add_prefix_space && !spaced) {
    prefixed.push_back(' ');
    prefixed += text;
    text = prefixed;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string_view> pieces,
                             pre_tokenizer_.Split(text));
  std::vector<std::int32_t> ids;
  for (const std::string_view piece : pieces) {
    const std::vector<std::int32_t>& part = EncodePiece(piece);
    ids.insert(ids.end(), part.begin(), part.end());
  }
  return ids;
}

Result<std::string> BpeTokenizer::Decode(const std::vector<std::int32_t>& ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= VocabSize()) {
      return InvalidArgumentError("token id " + std::to_string(id) + "; must be 0.." +
                                  std::to_string(VocabSize() - 1));
    }
    text += model_.tokens[id];
  }
  return text;
}

}  // namespace tributary::trainer
