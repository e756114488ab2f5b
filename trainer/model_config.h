// What config.json of a model directory says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/model_shape.h"
#include "core/status.h"
#include "trainer/rope.h"

namespace tributary::trainer {

struct ModelConfig {
  ModelShape shape;
  double norm_eps = 1e-6;  // of RMSNorm or LayerNorm
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  // For each layer how many tokens, itself among them, a token sees; 0: all before it. Empty: 0 for
  // all layers.
  std::vector<std::int64_t> windows;
  std::int64_t max_positions = 2048;
  std::optional<std::int64_t> bos_token;  // none: sequences start without one
  std::int64_t eos_token = 0;             // the first, where config.json lists several

  std::int64_t Window(std::int64_t layer) const;

  // Refuses, naming all of them, options that change the mathematics and are not built here.
  static Result<ModelConfig> FromJson(std::string_view text);
  // A config.json for transformers, of a model of type llama without rope scaling: what pretraining
  // makes.
  std::string ToJson() const;
};

}  // namespace tributary::trainer
