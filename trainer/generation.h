// Text from a model, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "core/status.h"
#include "trainer/language_model.h"

namespace tributary::trainer {

struct GenerationSettings {
  double temperature = 0;  // 0: always the likeliest token (the smaller id of equally likely ones)
  double top_p = 1;        // draws among the likeliest tokens that together have this probability
  std::int64_t max_tokens = 256;
  std::uint64_t seed = 0;
};

// Continues `prompt`, which is not empty, until a token of `ends` (which is not returned), for
// max_tokens, or until the sequence has `max_positions` tokens. Every token is computed once
// (key_value_cache.h). `stop` is asked before each token. Equal arguments and thread counts give
// equal tokens.
Result<std::vector<std::int32_t>> Generate(const LanguageModel& model,
                                           const std::vector<std::int32_t>& prompt,
                                           const std::set<std::int32_t>& ends,
                                           std::int64_t max_positions,
                                           const GenerationSettings& settings,
                                           const std::function<bool()>& stop);

}  // namespace tributary::trainer
