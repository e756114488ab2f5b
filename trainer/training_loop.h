// The optimisation loop shared by fine-tuning and pretraining.
#pragma once

#include <cstdint>
#include <functional>

#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/checkpoint.h"
#include "trainer/dataset.h"
#include "trainer/language_model.h"
#include "trainer/local_objective.h"
#include "trainer/optimizer.h"
#include "trainer/progress.h"
#include "trainer/weights.h"
#include "trainer/workers.h"

namespace tributary::trainer {

struct TrainingOutcome {
  std::int64_t steps = 0;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;               // that carried loss
  double learning_rate_sum = 0;          // over the steps
  double loss_first = 0, loss_last = 0;  // mean of the first and the last tenth of the steps
  double seconds = 0;
  bool stopped = false;  // before settings.steps, because `stop` said so
};

// What is around a training. Borrowed.
struct TrainingSurroundings {
  ProgressWriter* progress;    // of the first process
  std::function<bool()> stop;  // asked before each step
  Checkpoint* checkpoint = nullptr;
  const Workers* workers = nullptr;  // null: this process alone
  bool save_at_stop = false;         // into the checkpoint: for work that will be taken up again
};

// Trains `parameters`, which require gradients and are part of `model`, with an optimizer of them
// and what the strategy adds to their loss. The loss of a step is the
// mean over all loss tokens of its accumulated batches, so that accumulation does not change what
// is optimised. Equal arguments and thread counts give equal bits. With a checkpoint it goes on
// from there, or says why not, and saves when that is due: the same bits. Several processes share
// out every batch and step alike; without dropout they give what one gives, up to rounding. Fails
// when the loss is not finite.
Result<TrainingOutcome> RunTraining(const LanguageModel& model, const NamedTensors& parameters,
                                    const Dataset& dataset, const TrainingSettings& settings,
                                    std::uint64_t seed, const LocalObjective& objective,
                                    Optimizer* optimizer, const TrainingSurroundings& around);

}  // namespace tributary::trainer
