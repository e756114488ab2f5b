// One entry per architecture: how its config.json is read, and which modules it has. To add one: a
// file with its two functions, a line in the table of model_shape.cc, and its mathematics in
// trainer/.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/model_shape.h"

namespace tributary {

struct Architecture {
  std::string_view model_type;
  std::string_view class_name;   // in transformers
  std::string_view base_prefix;  // of all its weights but the head
  // Fills the shape; problems go to the reader.
  void (*read)(JsonObjectReader& config, ModelShape* shape);
  // In the order of computation, the head last.
  std::vector<ModelModule> (*modules)(const ModelShape& shape);
};

inline constexpr std::int64_t kMaxModelWidth = 1 << 20;
inline constexpr std::int64_t kMaxVocabulary = 1 << 24;
inline constexpr std::int64_t kMaxLayers = 4096;

// Present and not null: transformers writes null for what was not set.
bool HasValue(JsonObjectReader& config, std::string_view key);

// architecture_llama.cc: these differ in biases and norms only.
void ReadLlama(JsonObjectReader& config, ModelShape* shape);
void ReadMistral(JsonObjectReader& config, ModelShape* shape);
void ReadQwen2(JsonObjectReader& config, ModelShape* shape);
void ReadQwen3(JsonObjectReader& config, ModelShape* shape);
std::vector<ModelModule> LlamaModules(const ModelShape& shape);

// architecture_gpt2.cc
void ReadGpt2(JsonObjectReader& config, ModelShape* shape);
std::vector<ModelModule> Gpt2Modules(const ModelShape& shape);

}  // namespace tributary
