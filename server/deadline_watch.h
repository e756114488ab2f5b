// Waits for the deadlines of campaigns.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "core/clock.h"
#include "server/campaign_state.h"

namespace tributary::server {

// A deadline is written down as a moment of the wall clock. It is waited for by the clock that
// nobody sets, for as long as was left when it was first seen: somebody who sets the machine's
// clock ends no round before its time. A restart takes what is left from the wall clock. One
// thread.
class DeadlineWatch {
 public:
  // To be called whenever the state may have changed.
  void Look(const State& state, const Clock& clock);
  // The campaign whose deadline is due; of several the one that has been due for longest.
  std::optional<std::string> Due(const Clock& clock) const;

 private:
  struct Wait {
    Timestamp deadline;
    std::chrono::microseconds due;  // Clock::Elapsed()
  };
  std::map<std::string, Wait> waits_;
};

}  // namespace tributary::server
