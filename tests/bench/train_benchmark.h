// Speed and memory of the native trainer against PyTorch with PEFT on the same work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace tributary::bench {

struct TrainOptions {
  std::string model = "15m";  // 15m | 110m: Llama, 32,000 words
  std::int64_t steps = 6;
  std::int64_t batch_size = 4;
  std::int64_t sequence_length = 256;
  std::int64_t threads = 2;
  bool gradient_checkpointing = false;
  std::string base_precision = "fp32";  // fp32 | stored | int8, of a model in BF16
  int repetitions = 2;                  // of both, in turns; the better run of each counts
  std::string trainer_program;
  std::vector<std::string> peft_command;  // empty: the native trainer alone
};

// JSON: for each trainer tokens per second of the whole training (without start-up) and the peak of
// its resident memory; their ratios.
Result<std::string> RunTrainBenchmark(const TrainOptions& options);

}  // namespace tributary::bench
