// Trials of what a strategy may ask of a trainer (docs/task_directory.md): each directive is
// honoured, or the task is refused.
#pragma once

#include "client/trial_bench.h"

namespace tributary::client {

// Stops where the bench does not go on.
void RunStrategyTrials(const TrialBench& bench);

// Products in the base weights change what the model says as an adapter of the same product does.
// `plain`: the evaluation without either; `first`: the plain train task.
void RunMergedTrial(const TrialBench& bench, const Trial& plain, const Trial& first);

}  // namespace tributary::client
