#include "server/past_rounds.h"

#include <algorithm>
#include <utility>

#include "core/catch_all.h"
#include "core/late_round.h"
#include "server/apply.h"
#include "server/event_codec.h"

namespace tributary::server {

PastRounds::PastRounds(const std::string& campaign, std::int64_t from, std::int64_t to,
                       std::string task)
    : from_(from), to_(to), task_(std::move(task)), mention_("\"" + campaign) {
  Campaign& scratch = state_.campaigns[campaign];
  scratch.id = campaign;
  scratch.versions.emplace_back();
  scratch.rounds.resize(static_cast<std::size_t>(from - 1));
  for (Round& round : scratch.rounds) round.past = true;
}

bool PastRounds::IsWhole() const {
  if (ended_) return true;
  if (task_.empty()) {
    const bool late = opened_ > to_ + kLateAfterRounds && taken_ > kLateEntries;
    return opened_ > to_ && (campaign().outstanding.empty() || late);
  }
  const auto task = campaign().tasks.find(task_);
  if (task != campaign().tasks.end()) return task->second.phase != TaskPhase::kOutstanding;
  const auto owes = [&](const auto& entry) { return IsTaskOf(task_, entry.first); };
  const auto& outstanding = campaign().outstanding;
  return opened_ > to_ && std::none_of(outstanding.begin(), outstanding.end(), owes);
}

// A later round has them now.
void PastRounds::LetGo(const std::vector<Task>& carried) {
  Campaign& scratch = state_.campaigns.begin()->second;
  for (const Task& task : carried) {
    const auto own = scratch.tasks.find(task.id);
    if (own == scratch.tasks.end()) continue;
    TakeOutOfRound(&scratch, own->second);
    if (const auto open = scratch.outstanding.find(task.site); open != scratch.outstanding.end()) {
      open->second.erase(task.id);
      if (open->second.empty()) scratch.outstanding.erase(open);
    }
    scratch.tasks.erase(own);
  }
}

// Whether it is about our rounds; of tasks that are given out, leaves those.
bool PastRounds::Concerns(Event* event) {
  if (const auto* opened = std::get_if<RoundOpened>(event)) {
    opened_ = opened->round;
    if (opened_ > to_ && task_.empty()) LetGo(opened->carried);
    return IsOurs(opened->round);
  }
  if (auto* given = std::get_if<TasksGiven>(event)) {
    std::erase_if(given->tasks, [&](const Task& task) { return !IsOurs(task.round); });
    return !given->tasks.empty();
  }
  if (const auto* phase = std::get_if<PhaseStarted>(event)) {
    ended_ = ended_ || phase->phase == CampaignPhase::kCompleted;
  }
  ended_ = ended_ || std::holds_alternative<CampaignCancelled>(*event);
  // What it says of the last round is said of ours only while that is the last one.
  const bool of_last_round = std::holds_alternative<AggregationTried>(*event) ||
                             std::holds_alternative<AggregationFailed>(*event) ||
                             std::holds_alternative<UpdateDamaged>(*event);
  return !of_last_round || opened_ <= to_;
}

// What one event from outside has led to is together in the journal: where another campaign's entry
// stands, none of it is missing. The entry's number is not given on: all that is folded here stays.
Result<bool> PastRounds::Take(const JournalEntry& entry) {
  ++taken_;
  if (entry.event_json.find(mention_) == std::string::npos) return !IsWhole();
  auto decoded = DecodeEvent(entry.event_json);
  if (!decoded.ok()) {
    return decoded.status().Annotate("journal entry " + std::to_string(entry.sequence));
  }
  Event event = *std::move(decoded);
  if (CampaignOf(event) != campaign().id) return !IsWhole();
  if (!IsDecision(event) && IsWhole()) return false;
  if (Concerns(&event)) Apply(&state_, event, entry.at);
  return true;
}

namespace {

// One page after the other: read on the engine's thread, folded on a worker's.
struct Reading : std::enable_shared_from_this<Reading> {
  Reading(EngineRunner& r, WorkerPool& w, const std::atomic<bool>& s)
      : runner(r), workers(w), stop(s) {}

  void Next() {
    runner.ReadJournal(after, [self = shared_from_this()](Result<EngineRunner::Page> page) {
      self->workers.Submit([self, page = std::move(page)] { self->Go(page); });
    });
  }
  void Go(const Result<EngineRunner::Page>& page) {
    bool more = false;
    const Status status = CatchAll("the reading of past rounds", [&] { return Fold(page, &more); });
    if (status.ok() && more) return Next();
    done(status);
  }
  Status Fold(const Result<EngineRunner::Page>& page, bool* more) {
    if (stop) return UnavailableError("the server is shutting down");
    TRIBUTARY_RETURN_IF_ERROR(page.status());
    for (const JournalEntry& entry : *page) {
      TRIBUTARY_ASSIGN_OR_RETURN(*more, rounds->Take(entry));
      after = entry.sequence;
      if (!*more) return OkStatus();
    }
    return OkStatus();
  }

  EngineRunner& runner;
  WorkerPool& workers;
  const std::atomic<bool>& stop;
  std::int64_t after = 0;
  std::shared_ptr<PastRounds> rounds;
  std::function<void(Status)> done;
};

}  // namespace

void ReadPastRounds(EngineRunner& runner, WorkerPool& workers, std::int64_t first,
                    std::shared_ptr<PastRounds> rounds, const std::atomic<bool>& stop,
                    std::function<void(Status)> done) {
  auto reading = std::make_shared<Reading>(runner, workers, stop);
  reading->after = first - 1;
  reading->rounds = std::move(rounds);
  reading->done = std::move(done);
  reading->Next();
}

}  // namespace tributary::server
