#include "trainer/bpe_training.h"

#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <tuple>

namespace tributary::trainer {
namespace {

using Pair = std::pair<std::int32_t, std::int32_t>;

struct Piece {
  std::vector<std::int32_t> ids;
  std::int64_t count;
};

// The pieces with their pair counts, kept up to date as pairs are merged.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {
    for (std::size_t i = 0; i < pieces_.size(); ++i) Count(i, 1);
    for (const auto& [pair, count] : counts_) Push(pair);
  }

  // The most frequent pair; false when none appears twice.
  bool Best(Pair* best) {
    while (!heap_.empty()) {
      const auto [count, left, right] = heap_.top();
      heap_.pop();
      const Pair pair{-left, -right};
      if (count != counts_[pair]) continue;  // stale: a newer entry is in the heap
      *best = pair;
      return count >= 2;
    }
    return false;
  }

  void Merge(const Pair& pair, std::int32_t result) {
    const std::set<std::size_t> where = std::move(where_[pair]);
    where_.erase(pair);
    for (const std::size_t index : where) {
      Count(index, -1);
      MergeIn(&pieces_[index].ids, pair, result);
      Count(index, 1);
    }
    for (const Pair& changed : changed_) Push(changed);
    changed_.clear();
  }

 private:
  void Count(std::size_t index, std::int64_t sign) {
    const Piece& piece = pieces_[index];
    for (std::size_t i = 0; i + 1 < piece.ids.size(); ++i) {
      const Pair pair{piece.ids[i], piece.ids[i + 1]};
      counts_[pair] += sign * piece.count;
      if (sign > 0) where_[pair].insert(index);
      changed_.insert(pair);
    }
  }

  static void MergeIn(std::vector<std::int32_t>* ids, const Pair& pair, std::int32_t result) {
    std::size_t out = 0;
    for (std::size_t i = 0; i < ids->size(); ++i) {
      const bool match =
          i + 1 < ids->size() && (*ids)[i] == pair.first && (*ids)[i + 1] == pair.second;
      (*ids)[out++] = match ? result : (*ids)[i];
      if (match) ++i;
    }
    ids->resize(out);
  }

  void Push(const Pair& pair) { heap_.emplace(counts_[pair], -pair.first, -pair.second); }

  std::vector<Piece> pieces_;
  std::map<Pair, std::int64_t> counts_;
  std::map<Pair, std::set<std::size_t>> where_;  // may name pieces that no longer have the pair
  std::set<Pair> changed_;
  std::priority_queue<std::tuple<std::int64_t, std::int32_t, std::int32_t>> heap_;
};

}  // namespace

Status BpeTrainer::Add(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string_view> pieces,
                             pre_tokenizer_.Split(text));
  for (const std::string_view piece : pieces) ++pieces_[std::string(piece)];
  return OkStatus();
}

Result<BpeModel> BpeTrainer::Train(std::int64_t vocab_size,
                                   const std::vector<std::string>& special) const {
  const auto fixed = static_cast<std::int64_t>(special.size()) + 256;
  if (vocab_size < fixed) {
    return InvalidArgumentError("vocab_size: " + std::to_string(vocab_size) +
                                " is too small; must be at least " + std::to_string(fixed));
  }
  BpeModel model;
  model.tokens = special;
  for (std::size_t i = 0; i < special.size(); ++i) {
    model.special.push_back(static_cast<std::int32_t>(i));
  }
  for (int byte = 0; byte < 256; ++byte) model.tokens.emplace_back(1, static_cast<char>(byte));

  std::vector<Piece> pieces;
  for (const auto& [text, count] : pieces_) {
    Piece piece{{}, count};
    for (const char c : text) {
      piece.ids.push_back(static_cast<std::int32_t>(special.size()) +
                          static_cast<unsigned char>(c));
    }
    pieces.push_back(std::move(piece));
  }
  PairCounts counts(std::move(pieces));
  std::unordered_map<std::string, std::int32_t> known;  // two merges may spell the same token
  Pair best;
  while (static_cast<std::int64_t>(model.tokens.size()) < vocab_size && counts.Best(&best)) {
    std::string text = model.tokens[best.first] + model.tokens[best.second];
    const auto [it, fresh] =
        known.try_emplace(text, static_cast<std::int32_t>(model.tokens.size()));
    const std::int32_t id = it->second;
    if (fresh) model.tokens.push_back(std::move(text));
    model.merges.push_back(best);
    counts.Merge(best, id);
  }
  return model;
}

}  // namespace tributary::trainer
