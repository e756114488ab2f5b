// Learns a byte-level BPE vocabulary from text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/status.h"
#include "trainer/bpe_model.h"
#include "trainer/pre_tokenizer.h"

namespace tributary::trainer {

// Add() all texts, then Train() once. Not thread-safe. The result depends on the texts alone, not
// on their order.
class BpeTrainer {
 public:
  explicit BpeTrainer(PreTokenizer pre_tokenizer) : pre_tokenizer_(std::move(pre_tokenizer)) {}

  Status Add(std::string_view text);
  // Ids: the special tokens in the given order, the 256 bytes, then merges, most frequent pair
  // first (ties: the smaller ids), until `vocab_size` or until no pair appears twice.
  Result<BpeModel> Train(std::int64_t vocab_size, const std::vector<std::string>& special) const;

 private:
  PreTokenizer pre_tokenizer_;
  std::unordered_map<std::string, std::int64_t> pieces_;  // how often each appears
};

}  // namespace tributary::trainer
