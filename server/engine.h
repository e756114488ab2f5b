// The campaign engine: a deterministic state machine. No clock, no I/O, no randomness that is not
// seeded from the campaign, so the same code serves production, virtual time and generated fault
// sequences.
//
// The daemon around it (engine_runner.h) calls Check, calls Step, journals the event with what was
// decided because of it, then performs the actions. A journal is folded by Apply (apply.h) alone,
// which decides nothing. Pure functions: any thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/action.h"
#include "server/campaign_state.h"
#include "server/event.h"

namespace tributary::server {

// Whether the event may happen in this state. Anything that comes from a peer or a person is
// checked here, before it is journaled: not found, already exists, failed precondition, invalid
// argument.
Status Check(const State& state, const Event& event);

struct StepResult {
  State state;
  std::vector<Event> decisions;  // journaled after the event; applied to `state`
  std::vector<Action> actions;
};
// Applies an event that came from outside and has passed Check, and decides what follows from it.
// `entry`: its number in the journal, where the decisions have those after it; 0: there is none.
StepResult Step(State state, const Event& event, Timestamp now, std::int64_t entry = 0);

// What a site that just connected must hear: open offers, outstanding tasks.
std::vector<Action> Outstanding(const State& state, std::string_view site);

// What a connected site may not have been able to store when it was told: offers that it has not
// answered, and tasks that are not among those of which it has said anything. Told again they
// change nothing at a site that has them.
std::vector<Action> Reminders(const State& state, std::string_view site,
                              const std::set<std::string>& heard_of);

// Work that a restart interrupted: rounds to aggregate, but none that has ended the server time and
// again.
std::vector<Action> Recover(const State& state);

// When DeadlinePassed is due for each campaign whose deadline runs.
std::map<std::string, Timestamp> Deadlines(const State& state);

// The verdict on a task that is settled, for a site that repeats its report; nothing while the
// report is still wanted. An unknown task is settled: "not accepted"; one of a past round is
// unknown to the state (PastRoundOf), and known to the journal.
std::optional<AcknowledgeReport> VerdictOf(const State& state, std::string_view site,
                                           std::string_view task);
// Of a task as it was found, null: nowhere.
std::optional<AcknowledgeReport> VerdictOn(const Task* task, std::string_view site,
                                           std::string_view id);

// Of each campaign's versions the first stays, those that somebody still trains from, and these.
struct KeepRule {
  std::int64_t newest = 0;  // so many; 0: all
  std::int64_t every = 0;   // of those before, each whose number this divides; 0: none
};
// Numbers of the campaign's versions whose own files must stay.
std::set<std::int64_t> KeptVersions(const Campaign& campaign, const KeepRule& rule);
// Blobs that must stay: of those versions and all that belongs to them, and updates of rounds that
// are not aggregated yet.
std::set<Digest> ReferencedBlobs(const State& state, const KeepRule& rule = {});

}  // namespace tributary::server
