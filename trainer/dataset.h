// From a task's data sources to packed batches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/language_model.h"
#include "trainer/model_config.h"
#include "trainer/token_cache.h"
#include "trainer/token_table.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// Refuses a length beyond the positions that the model has.
Status CheckSequenceLength(const ModelConfig& config, std::int64_t sequence_length);

// The tokens of a task's data, kept where TRIBUTARY_TOKEN_CACHE says or in the task's state/.
Result<TokenCache> OpenTokenCache(const std::string& task_directory,
                                  const std::string& model_directory);

// All sources as one; relative paths are relative to `base_directory`. Fails when a source leaves
// no example, or has more bad lines than it may.
Result<Dataset> LoadDataset(const std::vector<DataSource>& sources,
                            const std::string& base_directory, const ModelConfig& config,
                            std::int64_t sequence_length, Tokenizer* tokenizer, TokenCache* cache);

PackedBatch Pack(const std::vector<TokenExample>& examples);

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
