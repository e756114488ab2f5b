// What a site keeps for a campaign from one task to the next: its control variate, its dual
// gradient, its own B factors, its optimizer, the ranks it still trains, what rounding took from
// its last update. Made when a task has trained; takes the place of the old only when the server
// has counted the update, so that both sides always mean the same rounds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/egress_guard.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::client {

// What a task was, beyond its directive.
struct TrainedTask {
  std::int64_t version = 0;                 // that it started from
  std::string optimizer = {};               // a path: the trainer's, where it left one
  std::optional<PrunedRanks> pruning = {};  // as its task.json has it
};

// Writes the files into `next`, a directory of the task, from its update and from `state`.
Status MakeNextState(const UpdateFiles& files, const TrainDirective& directive,
                     const TrainedTask& task, const std::string& state, const std::string& next);

// The residual to add to an update against `version`: a path, empty where there is none or where it
// is older than ten versions and says nothing about this model any more.
Result<std::string> ResidualFor(const TrainDirective& directive, std::int64_t version,
                                const std::string& state);

// Moves what is in `next` into `state`. Again after a crash: does what is left.
Status CommitState(const std::string& next, const std::string& state);

}  // namespace tributary::client
