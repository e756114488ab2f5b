// When a pilot takes a task, leaves, or is given a successor. Pure: a snapshot in, a decision out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tributary::scheduler_adapters {

// Kept free at the end of a pilot's walltime, to record the end of its last task.
inline constexpr std::chrono::seconds kPilotReserve{5};

// Whether a task of this walltime ends within what is left. A task without a walltime may end with
// its pilot. `left` absent: no limit.
bool FitsPilot(std::chrono::seconds walltime, std::optional<std::chrono::seconds> left);

struct LivePilot {
  bool running = false;  // else in the scheduler's queue
  bool busy = false;
  std::chrono::seconds idle{0};              // since its last task, while it is not busy
  std::optional<std::chrono::seconds> left;  // of its walltime; absent: no limit
};

struct PilotLimits {
  std::int64_t max_pilots = 1;  // without those that are nearly over
  std::chrono::seconds successor_before{600};
  std::chrono::seconds idle_timeout{300};
};

// Whether one more pilot is to be submitted now: for a task that no pilot is free for, or to be in
// the queue while a busy one nears its end. A pilot is nearly over when it has less than
// `successor_before` left, or too little for everything that waits; it does not count as one of
// `max_pilots`. At most 2 max_pilots are live at a time.
bool WantsPilot(std::span<const std::chrono::seconds> waiting, std::span<const LivePilot> pilots,
                const PilotLimits& limits);

// Walltimes of a pilot's job, and of what its process may count on: less, because the job's clock
// starts before the process does (modules, a slow file system).
struct PilotWalltime {
  std::chrono::seconds job{0}, serve{0};  // 0: no limit
};
PilotWalltime WalltimeFor(std::chrono::seconds configured,
                          std::span<const std::chrono::seconds> waiting);

// How long to wait after a pilot that was of no use, the `failures`-th in a row.
std::chrono::seconds PilotBackoff(int failures);

}  // namespace tributary::scheduler_adapters
