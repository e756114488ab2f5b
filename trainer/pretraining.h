// `tributary-trainer pretrain`: a tokenizer and a small base model from nothing but text. What was
// stopped, by a signal or by a power cut, goes on where it was when it is started again.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/model_config.h"
#include "trainer/training_loop.h"

namespace tributary::trainer {

inline constexpr std::string_view kPretrainFile = "pretrain.json";
inline constexpr std::string_view kPretrainLock = "pretrain.lock";  // held by who works there

struct PretrainFile {
  ModelConfig model;  // shape.vocab_size is the most the tokenizer may learn
  TrainingSettings training;
  std::uint64_t seed = 0;
  std::vector<DataSource> data;
  std::int64_t threads = 0;  // 0: all there are
  std::string output_path;   // the model directory to write
  std::string recipe;        // what the outcome follows from, but for the data's content

  static Result<PretrainFile> FromJson(std::string_view text);
};

Result<PretrainFile> ReadPretrainFile(const std::string& directory);

// Trains and writes file.output_path, whole or not at all; relative paths are relative to
// `directory`, where progress.jsonl grows and the checkpoint lies. A stop ends it without output
// and with a checkpoint of where it was. One that is there is gone on from if it is of the same
// recipe and data: the same bits as without the stop. Otherwise it says why not, and begins anew.
// Another process that works in `directory` is waited for, up to kPretrainPatience.
inline constexpr std::chrono::seconds kPretrainPatience{60};
Result<TrainingOutcome> RunPretraining(const std::string& directory, const PretrainFile& file,
                                       const std::function<bool()>& stop);

}  // namespace tributary::trainer
