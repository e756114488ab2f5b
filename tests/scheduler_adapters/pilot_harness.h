// Real pilots as real local jobs in a directory of their own, for the contract and the tests of
// pilots.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "scheduler_adapters/pilot_adapter.h"
#include "tests/scheduler_adapters/local_harness.h"

namespace tributary::scheduler_adapters {

class PilotHarness : public LocalHarness {
 public:
  PilotHarness() {
    options_.directory = LocalHarness::FileOf("pilots");
    options_.command = {TRIBUTARY_PILOT_MAIN};
    options_.max_pilots = 2;
    options_.poll_interval = std::chrono::milliseconds(5);
    options_.cancel_grace = std::chrono::seconds(2);
    options_.lost_after = std::chrono::seconds(0);
    Restart();
  }

  SchedulerAdapter& adapter() { return *pilots_; }
  PilotOptions& options() { return options_; }
  PilotDirectory directory() const { return PilotDirectory(options_.directory); }
  void Restart() {
    SchedulerOptions local;
    local.state_directory = StateDirectory();
    local.cancel_grace = std::chrono::seconds(2);
    local.supervisor_command = {TRIBUTARY_LOCAL_JOB_MAIN};
    pilots_ = *PilotAdapter::Make(options_, *MakeSchedulerAdapter(local, clock_), clock_);
  }

  std::vector<std::string> PilotNames() const { return *directory().Pilots(); }
  // Of a pilot that came up.
  std::optional<PilotState> StateOf(const std::string& pilot) const {
    const auto state = directory().ReadState(pilot);
    return state.ok() ? *state : std::nullopt;
  }

 private:
  SystemClock clock_;
  PilotOptions options_;
  std::unique_ptr<SchedulerAdapter> pilots_;
};

}  // namespace tributary::scheduler_adapters
