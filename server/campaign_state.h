// What the server knows about sites and campaigns. Plain values: the fold of the journal (see
// engine.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/campaign_file.h"
#include "core/clock.h"
#include "core/sha256.h"
#include "core/task_contract.h"

namespace tributary::server {

// What a site reports about a finished task. Numbers are the site's own word.
struct ReportFacts {
  Completion completion = Completion::kComplete;
  std::string message;
  Digest digest;  // of the update blob; zero for an evaluation
  std::uint64_t bytes = 0;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;
  std::int64_t steps = 0;
  double learning_rate_sum = 0;  // over the steps
  double loss_first = 0;
  double loss_last = 0;
  std::map<std::string, double> metrics;
  double queue_seconds = 0;  // four different times, never added into one
  double startup_seconds = 0;
  double compute_seconds = 0;
  double transfer_seconds = 0;
  std::string device;  // that computed
  std::int64_t peak_memory_bytes = 0;
  // What the site signed, and its signature: proof of what it sent. In the journal's event; the
  // state is without them.
  std::string statement_hex;
  std::string signature_hex;
};

enum class TaskPhase : std::uint8_t {
  kOutstanding,  // given to the site, no report yet
  kAccepted,     // its update or evaluation counts
  kFailed,       // the site reported a failure, or the update was refused
  kMissed,       // the round closed without it; a late update is discarded
  kCancelled,
};

std::string_view TaskPhaseName(TaskPhase phase);  // "outstanding", ...

struct Task {
  std::string id;
  std::string campaign;
  std::string site;
  TaskKind kind = TaskKind::kTrain;
  std::int64_t round = 0;       // that it was given in
  std::int64_t carried_to = 0;  // the round that waits for it now, when that one closed without it
  std::int64_t attempt = 1;     // names the task
  std::int64_t tries = 1;       // of those attempts, that count against pacing.attempts
  std::chrono::seconds delay{0};  // the site begins so long after it was told
  std::int64_t base_version = 0;
  std::uint64_t seed = 0;
  std::int64_t steps = 0;
  double learning_rate_scale = 1;

  TaskPhase phase = TaskPhase::kOutstanding;
  ReportFacts facts;   // once accepted
  std::string reason;  // once failed, missed or cancelled

  // The round that waits for it.
  std::int64_t counts_in() const { return carried_to > 0 ? carried_to : round; }
};

struct BlobRef {
  Digest digest;  // zero: there is none
  std::uint64_t bytes = 0;
  friend bool operator==(const BlobRef&, const BlobRef&) = default;
};

struct Version {
  std::int64_t number = 0;
  Digest digest;
  std::uint64_t bytes = 0;
  Timestamp published_at;
  // What the aggregator keeps for the next round: vectors by name, and numbers. The vectors of the
  // newest version are the only ones on disk.
  std::map<std::string, BlobRef> state = {};
  std::map<std::string, double> numbers = {};
  BlobRef merged = {};      // the product that this version adds to the base weights
  std::string damage = {};  // of its file, as last noticed; empty: none that is known
};

struct Round {
  std::int64_t number = 0;
  Timestamp opened_at;
  std::optional<Timestamp> closed_at;
  std::vector<std::string> sites;            // with a task, sorted
  std::map<std::string, std::string> tasks;  // site -> its latest train task
  std::int64_t fold_tries = 0;               // begun, end unknown
  std::int64_t damaged = 0;                  // accepted updates that the disk lost
  bool fold_failed = false;                  // waits for somebody who resumes the campaign
  std::int64_t waiting = 0;                  // of those tasks, outstanding
  std::set<std::string> left_out = {};       // selected, and not waited for any more
  // Tasks whose updates become its version, in site order; empty until that is decided.
  std::vector<std::string> counted = {};
  std::int64_t closings = 0;  // how often that was decided: its fold is of the last time
  double mean_loss = 0;
  std::map<std::string, double> metrics;  // evaluation of the version produced: "<site>/<metric>"
  std::int64_t entry = 0;                 // of the journal, that opened it; 0: not known
  // Closed some rounds ago: who took part, and settled tasks, are in the journal alone
  // (past_rounds.h).
  bool past = false;
};

struct SiteAnswer {
  enum class Kind : std::uint8_t { kWaiting, kAccepted, kRefused, kDropped };
  Kind kind = Kind::kWaiting;
  std::string reason;
};

std::string_view SiteAnswerName(SiteAnswer::Kind kind);  // "waiting", ...

enum class CampaignPhase : std::uint8_t {
  kGathering,    // waits for the sites' answers
  kPlanning,     // the next round opens as soon as the campaign is not paused
  kTraining,     // a round is open
  kAggregating,  // a round is closed, its version is being computed
  kFinishing,    // all rounds are done, last evaluations are out
  kCompleted,
  kCancelled,
};
std::string_view CampaignPhaseName(CampaignPhase phase);

struct Campaign {
  std::string id;
  std::string lead;
  CampaignFile file;
  std::string yaml;                // effective text, loadable
  std::int64_t rules = 0;          // event.h
  std::int64_t agreed_rounds = 0;  // what the sites accepted
  CampaignPhase phase = CampaignPhase::kGathering;
  bool paused = false;
  std::string note;  // what it waits for, or why it paused or ended
  Timestamp submitted_at;
  std::optional<Timestamp> ended_at;
  std::optional<Timestamp> deadline;  // of the present phase
  bool deadline_passed = false;
  std::map<std::string, SiteAnswer> answers;  // every site of the file
  std::vector<Version> versions;              // index = number
  std::vector<Round> rounds;                  // index = number - 1
  std::map<std::string, Task> tasks;          // but settled ones of rounds that are past
  // site -> those of its tasks that have no end yet; follows from `tasks`.
  std::map<std::string, std::set<std::string>> outstanding;

  bool ended() const {
    return phase == CampaignPhase::kCompleted || phase == CampaignPhase::kCancelled;
  }
};

struct Member {
  std::string name;
  std::string certificate_fingerprint;
  Timestamp enrolled_at;
};

struct State {
  std::map<std::string, Member> sites;
  std::map<std::string, Campaign> campaigns;

  // Null when unknown.
  const Campaign* FindCampaign(std::string_view id) const;
  const Task* FindTask(std::string_view id) const;
};

// Takes a task out of the round that waits for it. The task stays.
void TakeOutOfRound(Campaign* campaign, const Task& task);

// Fills what follows from `tasks`: after they were read from a file.
void IndexTasks(Campaign* campaign);

// Whether a task of this id would be this site's.
bool IsTaskOf(std::string_view task, std::string_view site);
// Whether it can have been given out: not while an earlier attempt of the same work has no end.
bool MayExist(const Campaign& campaign, std::string_view task, const std::string& site);

// The round in which a task was given out that is not in the state because the round that it counts
// in is past; nothing for tasks that are, and for ids that no task of the campaign can have.
std::optional<std::int64_t> PastRoundOf(const State& state, std::string_view task);

// The id of a campaign of this name that is submitted now: the name, or name@2 and so on when those
// before it were cancelled. The id of one that lives or completed stands in the way.
std::string CampaignIdFor(const State& state, const std::string& name);

// Train tasks whose updates the round has, in site order.
std::vector<const Task*> AcceptedTasks(const Campaign& campaign, const Round& round);
// Of those the ones that are folded: once it is decided, not those that came after.
std::vector<const Task*> CountedTasks(const Campaign& campaign, const Round& round);
// Accepted updates that no version has yet.
std::vector<const Task*> UnfoldedUpdates(const Campaign& campaign);

}  // namespace tributary::server
