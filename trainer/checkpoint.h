// What a killed job leaves for the next one on the same task directory: one file,
// DIR/checkpoint.safetensors, replaced whole and with a digest of its content. The data order and
// the dropout follow from the task's seed and the number of steps, so weights, optimizer and losses
// are all there is to keep; a resumed training gives the bits of one that was never interrupted.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "trainer/optimizer.h"
#include "trainer/weights.h"

namespace tributary::trainer {

inline constexpr std::string_view kCheckpointFile = "checkpoint.safetensors";

// How far a training has come.
struct TrainingState {
  std::int64_t samples = 0;
  std::int64_t tokens = 0;  // that carried loss
  double learning_rate_sum = 0;
  std::vector<double> losses;  // of every step

  std::int64_t steps() const { return static_cast<std::int64_t>(losses.size()); }
};

// Not thread-safe.
class Checkpoint {
 public:
  // `task` names the work: a checkpoint of another is not used. Saves are due every
  // TRIBUTARY_CHECKPOINT_STEPS steps or, without it, every TRIBUTARY_CHECKPOINT_SECONDS (otherwise
  // `every`) seconds and at most a twentieth of the time. Invalid argument when a variable is no
  // positive number.
  static Result<Checkpoint> Open(const std::string& directory, const std::string& task,
                                 std::chrono::seconds every = std::chrono::seconds(60));

  bool Due(const TrainingState& state) const;
  Status Save(const TrainingState& state, const NamedTensors& parameters,
              const Optimizer& optimizer);
  // Into parameters and optimizer. Otherwise nothing has changed: not found, where there is none;
  // with any other code the message says why the one that is there is of no use (it is damaged, or
  // of other work), and training begins anew.
  Status Restore(NamedTensors parameters, Optimizer* optimizer, TrainingState* state) const;
  Status Remove() const;

 private:
  using Steady = std::chrono::steady_clock;

  std::string path_, task_;
  std::int64_t every_steps_ = 0;  // 0: by time
  std::chrono::duration<double> every_{60};
  std::chrono::duration<double> cost_{0};  // of the last save
  Steady::time_point saved_ = Steady::now();
};

}  // namespace tributary::trainer
