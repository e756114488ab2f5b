// `tributary-trainer pretrain`: a tokenizer and a small base model from nothing but text.
#pragma once

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

struct PretrainFile {
  ModelConfig model;  // shape.vocab_size is the most the tokenizer may learn
  TrainingSettings training;
  std::uint64_t seed = 0;
  std::vector<DataSource> data;
  std::int64_t threads = 0;  // 0: all there are
  std::string output_path;   // the model directory to write

  static Result<PretrainFile> FromJson(std::string_view text);
};

Result<PretrainFile> ReadPretrainFile(const std::string& directory);

// Trains and writes file.output_path, whole or not at all; relative paths are relative to
// `directory`, where progress.jsonl grows. A signal ends it without output.
Result<TrainingOutcome> RunPretraining(const std::string& directory, const PretrainFile& file,
                                       const std::function<bool()>& stop);

}  // namespace tributary::trainer
