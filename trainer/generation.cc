#include "trainer/generation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/random.h"

namespace tributary::trainer {
namespace {

// Of the token behind `ids`, which follow what the cache has seen.
std::vector<double> NextLogits(const LanguageModel& model, const std::vector<std::int32_t>& ids,
                               KeyValueCache* cache) {
  PackedBatch batch;
  const std::vector<std::int64_t> wide(ids.begin(), ids.end());
  const auto rows = static_cast<std::int64_t>(wide.size());
  batch.ids = at::tensor(wide, at::TensorOptions().dtype(at::kLong));
  batch.starts = {0, rows};
  batch.loss_rows = at::empty({0}, at::kLong);
  batch.targets = at::empty({0}, at::kLong);
  batch.examples = 1;
  ForwardPass pass;
  pass.cache = cache;
  const at::Tensor hidden = model.Hidden(batch, pass).slice(0, rows - 1, rows);
  const at::Tensor logits = LogitsOf(model, hidden).to(at::kCPU, at::kDouble).contiguous();
  return {logits.data_ptr<double>(), logits.data_ptr<double>() + logits.numel()};
}

std::int32_t Likeliest(const std::vector<double>& logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

std::int32_t Draw(const std::vector<double>& logits, const GenerationSettings& settings,
                  SplitMix64* random) {
  const double most = *std::max_element(logits.begin(), logits.end());
  std::vector<double> weights;
  for (const double logit : logits) {
    weights.push_back(std::exp((logit - most) / settings.temperature));
  }
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return weights[static_cast<std::size_t>(a)] > weights[static_cast<std::size_t>(b)];
  });
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  std::size_t count = 0;
  while (count < order.size() && (count == 0 || kept < settings.top_p * all)) {
    kept += weights[static_cast<std::size_t>(order[count++])];
  }
  double at = random->Unit() * kept;
  for (std::size_t i = 0; i < count; ++i) {
    at -= weights[static_cast<std::size_t>(order[i])];
    if (at < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace

Result<std::vector<std::int32_t>> Generate(const LanguageModel& model,
                                           const std::vector<std::int32_t>& prompt,
                                           const std::set<std::int32_t>& ends,
                                           std::int64_t max_positions,
                                           const GenerationSettings& settings,
                                           const std::function<bool()>& stop) {
  if (static_cast<std::int64_t>(prompt.size()) > max_positions) {
    return InvalidArgumentError("the prompt has " + std::to_string(prompt.size()) +
                                " tokens; the model has " + std::to_string(max_positions) +
                                " positions");
  }
  const at::NoGradGuard no_grad;
  SplitMix64 random(settings.seed);
  KeyValueCache cache(
      std::min(max_positions, static_cast<std::int64_t>(prompt.size()) + settings.max_tokens));
  std::vector<std::int32_t> ids = prompt;  // that the cache has not seen
  std::vector<std::int32_t> answer;
  while (static_cast<std::int64_t>(answer.size()) < settings.max_tokens &&
         static_cast<std::int64_t>(prompt.size() + answer.size()) < max_positions) {
    if (stop()) return CancelledError("stopped by a signal");
    const std::vector<double> logits = NextLogits(model, ids, &cache);
    if (!std::all_of(logits.begin(), logits.end(), [](double x) { return std::isfinite(x); })) {
      return InvalidArgumentError("the model's output is not finite");
    }
    const std::int32_t next =
        settings.temperature > 0 ? Draw(logits, settings, &random) : Likeliest(logits);
    if (ends.contains(next)) break;
    ids = {next};
    answer.push_back(next);
  }
  return answer;
}

}  // namespace tributary::trainer
