// A Hugging Face style model directory: config.json, weights in one file or several,
// tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "trainer/adapter.h"
#include "trainer/base_weights.h"
#include "trainer/device.h"
#include "trainer/language_model.h"
#include "trainer/model_config.h"
#include "trainer/tokenizer.h"
#include "trainer/weights.h"

namespace tributary::trainer {

// Builds the architecture that `config` names over `weights`, to be computed as `compute` says.
Result<std::unique_ptr<LanguageModel>> CreateModel(const ModelConfig& config,
                                                   const NamedTensors& weights,
                                                   const Compute& compute = {});

// A base model with an adapter in place.
struct AdaptedModel {
  ModelConfig config;
  std::unique_ptr<Tokenizer> tokenizer;
  Adapter adapter;  // of kind full: the weights themselves
  std::unique_ptr<LanguageModel> model;
};

Result<ModelConfig> ReadModelConfig(const std::string& model_path);

// The model with `adapter` in place. Base weights need no gradients and are mapped, not copied,
// where they stay as stored and on the CPU. With an adapter of kind full they are not read at all;
// it has no use for another precision than fp32. `merged`: files of products
// "<module>.merged_B.weight" [out, q] times "<module>.merged_A.weight" [q, in], added to the base
// weights in that order.
Result<std::unique_ptr<LanguageModel>> LoadModel(const std::string& model_path,
                                                 const ModelConfig& config, const Adapter& adapter,
                                                 const std::vector<std::string>& merged = {},
                                                 BasePrecision precision = BasePrecision::kFp32,
                                                 const Compute& compute = {});

// Reads and loads all that a directory and the adapter in `adapter_directory` hold.
Result<AdaptedModel> LoadAdaptedModel(const std::string& model_path,
                                      const std::string& adapter_directory,
                                      const std::vector<std::string>& merged = {},
                                      BasePrecision precision = BasePrecision::kFp32,
                                      const Compute& compute = {});

// The same without an adapter.
Result<AdaptedModel> LoadBaseModel(const std::string& model_path,
                                   BasePrecision precision = BasePrecision::kFp32,
                                   const Compute& compute = {});

// An error when there is something at `path`.
Status CheckOutputPath(const std::string& path);

// Writes a model directory, whole or not at all. An existing `path` is an error.
Status SaveModelDirectory(const std::string& path, const ModelConfig& config,
                          const NamedTensors& weights, const std::string& tokenizer_json,
                          const std::string& tokenizer_config_json);

}  // namespace tributary::trainer
