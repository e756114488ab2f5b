// What an event does to the state: just what it says. Nothing is decided here, so that a journal is
// folded to the same state by every later version of the program.
#pragma once

#include "core/clock.h"
#include "server/campaign_state.h"
#include "server/event.h"

namespace tributary::server {

// Total: an event about what is not there changes nothing. `at` is when it happened.
void Apply(State* state, const Event& event, Timestamp at);

}  // namespace tributary::server
