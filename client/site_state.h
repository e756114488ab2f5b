// What a site keeps for a campaign from one task to the next: its control variate, its dual
// gradient, its own B factors, its optimizer. Made when a task has trained; takes the place of the
// old only when the server has counted the update, so that both sides always mean the same rounds.
#pragma once

#include <string>

#include "client/egress_guard.h"
#include "core/status.h"

namespace tributary::client {

// Writes the files into `next`, a directory of the task, from its update and from `state`.
// `optimizer`: the trainer's, where it left one.
Status MakeNextState(const UpdateFiles& files, const TrainDirective& directive,
                     const std::string& optimizer, const std::string& state,
                     const std::string& next);

// Moves what is in `next` into `state`. Again after a crash: does what is left.
Status CommitState(const std::string& next, const std::string& state);

}  // namespace tributary::client
