#include "trainer/training_loop.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace tributary::trainer {
namespace {

constexpr std::uint64_t kOrderPurpose = 1;
constexpr std::uint64_t kDropoutPurpose = 2;

double Mean(const double* values, std::size_t count) {
  return std::accumulate(values, values + count, 0.0) / static_cast<double>(count);
}

std::vector<PackedBatch> NextBatches(const Dataset& dataset, const TrainingSettings& settings,
                                     ShuffledIndices* indices) {
  std::vector<PackedBatch> batches;
  for (std::int64_t i = 0; i < settings.gradient_accumulation; ++i) {
    std::vector<const TokenExample*> examples;
    for (std::int64_t k = 0; k < settings.batch_size; ++k) {
      examples.push_back(&dataset.examples[indices->Next()]);
    }
    batches.push_back(Pack(examples));
  }
  return batches;
}

// Leaves the gradient of the mean loss in the parameters and returns that mean.
double ForwardBackward(const LanguageModel& model, const std::vector<PackedBatch>& batches,
                       std::int64_t loss_tokens, std::uint64_t dropout_seed) {
  double sum = 0;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const at::Tensor loss = LossSum(model, batches[i], {true, DeriveSeed(dropout_seed, i)});
    sum += loss.item<double>();
    (loss / static_cast<double>(loss_tokens)).backward();
  }
  return sum / static_cast<double>(loss_tokens);
}

void Summarise(const std::vector<double>& losses, TrainingOutcome* outcome) {
  if (losses.empty()) return;
  const std::size_t tenth = std::max<std::size_t>(1, losses.size() / 10);
  outcome->loss_first = Mean(losses.data(), tenth);
  outcome->loss_last = Mean(losses.data() + losses.size() - tenth, tenth);
}

}  // namespace

Result<TrainingOutcome> RunTraining(const LanguageModel& model, const NamedTensors& parameters,
                                    const Dataset& dataset, const TrainingSettings& settings,
                                    std::uint64_t seed, const LocalObjective& objective,
                                    Optimizer* optimizer, ProgressWriter* progress,
                                    const std::function<bool()>& stop) {
  ShuffledIndices indices(dataset.examples.size(), DeriveSeed(seed, kOrderPurpose));
  SplitMix64 dropout_seeds(DeriveSeed(seed, kDropoutPurpose));
  std::vector<double> losses;
  TrainingOutcome outcome;
  const double start = progress->Seconds();
  while (outcome.steps < settings.steps) {
    if (stop()) {
      outcome.stopped = true;
      break;
    }
    const std::vector<PackedBatch> batches = NextBatches(dataset, settings, &indices);
    std::int64_t loss_tokens = 0;
    for (const PackedBatch& batch : batches) {
      loss_tokens += batch.targets.numel();
      outcome.samples += batch.examples;
    }
    const double loss = ForwardBackward(model, batches, loss_tokens, dropout_seeds.Next());
    objective.AddToGradients(parameters);
    const double norm = ClipGradients(parameters, settings.max_grad_norm);
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
      return InvalidArgumentError("the loss or its gradient is not finite at step " +
                                  std::to_string(outcome.steps + 1) +
                                  "; lower learning_rate or check the data");
    }
    const double rate = LearningRate(settings, outcome.steps);
    optimizer->Step(rate);
    objective.AfterStep(parameters, rate);
    outcome.learning_rate_sum += rate;
    ++outcome.steps;
    outcome.tokens += loss_tokens;
    losses.push_back(loss);
    TRIBUTARY_RETURN_IF_ERROR(
        progress->Report({outcome.steps, settings.steps, loss, outcome.tokens, 0}));
  }
  Summarise(losses, &outcome);
  outcome.seconds = progress->Seconds() - start;
  return outcome;
}

}  // namespace tributary::trainer
