// Training and evaluation examples: JSON lines to token sequences to packed batches.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/random.h"
#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/language_model.h"
#include "trainer/model_config.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// One line: {"text": ...} or {"prompt": ..., "completion": ...}. For text the prompt is empty.
struct TextExample {
  std::string prompt;
  std::string completion;
};

// Reads a JSONL file; empty lines are skipped. The error names the first bad line as
// "<path>:<line>: ...".
Result<std::vector<TextExample>> ReadExamples(const std::string& path);

// A sequence [BOS] prompt completion EOS. Tokens from `loss_from` on carry loss: the completion and
// EOS.
struct TokenExample {
  std::vector<std::int32_t> ids;
  std::int64_t loss_from = 1;
};

struct Dataset {
  std::vector<TokenExample> examples;
  std::int64_t cut_off = 0;  // examples left out because no completion fits after the prompt

  std::int64_t LossTokens() const;
};

// Tokenises; sequences longer than `sequence_length` tokens are cut at the end.
Result<Dataset> Tokenize(const std::vector<TextExample>& texts, const ModelConfig& config,
                         std::int64_t sequence_length, Tokenizer* tokenizer);

// Reads and tokenises all sources into one; relative paths are relative to `base_directory`. Fails
// when no example is left.
Result<Dataset> LoadDataset(const std::vector<DataSource>& sources,
                            const std::string& base_directory, const ModelConfig& config,
                            std::int64_t sequence_length, Tokenizer* tokenizer);

PackedBatch Pack(const std::vector<const TokenExample*>& examples);

// Indices 0..count-1 in a fresh seeded order for each epoch, for ever. `count` is at least 1. Not
// thread-safe.
class ShuffledIndices {
 public:
  ShuffledIndices(std::size_t count, std::uint64_t seed);
  std::size_t Next();

 private:
  SplitMix64 random_;
  std::vector<std::size_t> order_;
  std::size_t at_;
};

}  // namespace tributary::trainer
