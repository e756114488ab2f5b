// `tributary-bench pilot`: a job for each round against pilots, on a real Slurm cluster of this
// machine whose jobs all wait for a set time before they may start.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace tributary::bench {

struct PilotBenchOptions {
  std::int64_t rounds = 5;
  std::int64_t wait_seconds = 20;  // that each job asks for with --begin
  std::int64_t task_seconds = 2;   // that each round's task sleeps
  std::int64_t think_seconds = 2;  // from one round's end to the next one's start
  std::int64_t idle_timeout = 30;  // of a pilot
  std::string client_program;      // path of tributary-client, which the pilots run
};

// The result as JSON text. Unavailable when Slurm is not installed.
Result<std::string> RunPilotBenchmark(const PilotBenchOptions& options);

}  // namespace tributary::bench
