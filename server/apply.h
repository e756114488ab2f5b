// What an event does to the state: just what it says. Nothing is decided here, so that a journal is
// folded to the same state by every later version of the program.
#pragma once

#include "core/clock.h"
#include "server/campaign_state.h"
#include "server/event.h"

namespace tributary::server {

// Total: an event about what is not there changes nothing. `at` is when it happened, `entry` its
// number in the journal (0: there is none).
void Apply(State* state, const Event& event, Timestamp at, std::int64_t entry = 0);

// Makes rounds past whose tasks the journal has, and that nothing will be decided about: those of
// campaigns that ended a minute ago, and of live ones the oldest, while more than `kept_tasks`
// tasks are in memory. Two closed rounds stay, and those whose evaluations are out, but for very
// old ones. What is decided does not depend on it.
inline constexpr std::size_t kKeptTasks = 2000;
void Compact(State* state, Timestamp now, std::size_t kept_tasks = kKeptTasks);
// The same for one campaign.
void Compact(Campaign* campaign, Timestamp now, std::size_t kept_tasks = kKeptTasks);

}  // namespace tributary::server
