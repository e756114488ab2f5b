// What config.json of a model directory says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/peft_adapter.h"
#include "core/status.h"

namespace tributary::trainer {

struct ModelConfig {
  LlamaShape shape;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  std::int64_t max_positions = 2048;
  std::optional<std::int64_t> bos_token;  // none: sequences start without one
  std::int64_t eos_token = 0;             // the first, where config.json lists several

  // Refuses, naming all of them, options that change the mathematics and are not built here.
  static Result<ModelConfig> FromJson(std::string_view text);
  // A config.json for transformers.
  std::string ToJson() const;
};

}  // namespace tributary::trainer
