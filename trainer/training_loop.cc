#include "trainer/training_loop.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "trainer/say.h"

namespace tributary::trainer {
namespace {

constexpr std::uint64_t kOrderPurpose = 1;
constexpr std::uint64_t kDropoutPurpose = 2;

double Mean(const double* values, std::size_t count) {
  return std::accumulate(values, values + count, 0.0) / static_cast<double>(count);
}

// This process's share of the next batches; all draw the same indices. A share may be empty and is
// left out then.
std::vector<PackedBatch> NextBatches(const Dataset& dataset, const TrainingSettings& settings,
                                     const Workers& workers, ShuffledIndices* indices) {
  std::vector<PackedBatch> batches;
  for (std::int64_t i = 0; i < settings.gradient_accumulation; ++i) {
    std::vector<TokenExample> examples;
    for (std::int64_t k = 0; k < settings.batch_size; ++k) {
      const std::size_t index = indices->Next();
      if (k % workers.size() == workers.rank()) examples.push_back(dataset.At(index));
    }
    if (!examples.empty()) batches.push_back(Pack(examples));
  }
  return batches;
}

// Examples and loss tokens of the batches of all processes.
struct BatchCounts {
  std::int64_t examples = 0;
  std::int64_t tokens = 0;
};

BatchCounts CountAll(const std::vector<PackedBatch>& batches, const Workers& workers) {
  const at::Tensor counts = at::zeros({2}, at::kLong);
  for (const PackedBatch& batch : batches) {
    counts[0] += batch.examples;
    counts[1] += batch.targets.numel();
  }
  workers.Sum(counts);
  return {counts[0].item<std::int64_t>(), counts[1].item<std::int64_t>()};
}

// Leaves the gradient of the mean loss in the parameters and returns that mean, of all processes.
double ForwardBackward(const LanguageModel& model, const NamedTensors& parameters,
                       const std::vector<PackedBatch>& batches, const Workers& workers,
                       std::int64_t loss_tokens, ForwardPass pass, std::uint64_t dropout_seed) {
  double sum = 0;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    pass.dropout = {true, DeriveSeed(dropout_seed, i)};
    const at::Tensor loss = LossSum(model, batches[i], pass);
    sum += loss.item<double>();
    (loss / static_cast<double>(loss_tokens)).backward();
  }
  if (workers.size() > 1) {
    for (const auto& [name, parameter] : parameters) {
      if (!parameter.grad().defined()) parameter.mutable_grad() = at::zeros_like(parameter);
      workers.Sum(parameter.grad());
    }
    const at::Tensor total = at::full({1}, sum, at::kDouble);
    workers.Sum(total);
    sum = total.item<double>();
  }
  return sum / static_cast<double>(loss_tokens);
}

TrainingOutcome Summarise(const TrainingState& state) {
  TrainingOutcome outcome;
  outcome.steps = state.steps();
  outcome.samples = state.samples;
  outcome.tokens = state.tokens;
  outcome.learning_rate_sum = state.learning_rate_sum;
  const std::vector<double>& losses = state.losses;
  if (losses.empty()) return outcome;
  const std::size_t tenth = std::max<std::size_t>(1, losses.size() / 10);
  outcome.loss_first = Mean(losses.data(), tenth);
  outcome.loss_last = Mean(losses.data() + losses.size() - tenth, tenth);
  return outcome;
}

// The generators as they are after so many steps.
void Skip(std::int64_t steps, const TrainingSettings& settings, ShuffledIndices* indices,
          SplitMix64* dropout_seeds) {
  for (std::int64_t step = 0; step < steps; ++step) {
    dropout_seeds->Next();
    for (std::int64_t i = 0; i < settings.gradient_accumulation * settings.batch_size; ++i) {
      indices->Next();
    }
  }
}

void SayRestored(const Status& restored, const TrainingState& state,
                 const TrainingSettings& settings) {
  if (restored.ok()) {
    Say("going on after step " + std::to_string(state.steps()) + " of " +
        std::to_string(settings.steps));
  } else if (restored.code() != StatusCode::kNotFound) {
    Say("the checkpoint is not used, training begins anew: " + restored.message());
  }
}

}  // namespace

Result<TrainingOutcome> RunTraining(const LanguageModel& model, const NamedTensors& parameters,
                                    const Dataset& dataset, const TrainingSettings& settings,
                                    std::uint64_t seed, const LocalObjective& objective,
                                    Optimizer* optimizer, const TrainingSurroundings& around) {
  const Workers alone;
  const Workers& workers = around.workers == nullptr ? alone : *around.workers;
  Checkpoint* const checkpoint = around.checkpoint;
  ShuffledIndices indices(dataset.size(), DeriveSeed(seed, kOrderPurpose));
  SplitMix64 dropout_seeds(DeriveSeed(seed, kDropoutPurpose));
  TrainingState state;
  const ForwardPass pass{.dropout = {}, .recompute_layers = settings.gradient_checkpointing};
  bool stopped = false;
  const double start = around.progress->Seconds();
  if (checkpoint != nullptr) {
    const Status restored = checkpoint->Restore(parameters, optimizer, &state);
    if (workers.first()) SayRestored(restored, state, settings);
    Skip(state.steps(), settings, &indices, &dropout_seeds);
  }
  while (state.steps() < settings.steps) {
    stopped = workers.Any(around.stop());
    if (stopped) break;
    const std::vector<PackedBatch> batches = NextBatches(dataset, settings, workers, &indices);
    const BatchCounts counts = CountAll(batches, workers);
    const double loss = ForwardBackward(model, parameters, batches, workers, counts.tokens, pass,
                                        dropout_seeds.Next());
    objective.AddToGradients(parameters);
    const double norm = ClipGradients(parameters, settings.max_grad_norm);
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
      return InvalidArgumentError("the loss or its gradient is not finite at step " +
                                  std::to_string(state.steps() + 1) +
                                  "; lower learning_rate or check the data");
    }
    const double rate = LearningRate(settings, state.steps());
    optimizer->Step(rate);
    objective.AfterStep(parameters, rate);
    state.learning_rate_sum += rate;
    state.samples += counts.examples;
    state.tokens += counts.tokens;
    state.losses.push_back(loss);
    if (!workers.first()) continue;  // one speaks and saves for all
    TRIBUTARY_RETURN_IF_ERROR(
        around.progress->Report({state.steps(), settings.steps, loss, state.tokens, 0}));
    if (checkpoint != nullptr && state.steps() < settings.steps && checkpoint->Due(state)) {
      TRIBUTARY_RETURN_IF_ERROR(checkpoint->Save(state, parameters, *optimizer));
    }
  }
  if (stopped && around.save_at_stop && checkpoint != nullptr && state.steps() > 0 &&
      workers.first()) {
    TRIBUTARY_RETURN_IF_ERROR(checkpoint->Save(state, parameters, *optimizer));
  }
  TrainingOutcome outcome = Summarise(state);
  outcome.stopped = stopped;
  outcome.seconds = around.progress->Seconds() - start;
  return outcome;
}

}  // namespace tributary::trainer
