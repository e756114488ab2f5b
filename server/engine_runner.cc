#include "server/engine_runner.h"

#include <set>

#include "core/log.h"
#include "server/apply.h"
#include "server/event_codec.h"
#include "server/state_codec.h"

namespace tributary::server {
namespace {

// How often deadlines and postponed events are looked at when nothing else happens.
constexpr std::chrono::milliseconds kTick{250};
constexpr std::chrono::seconds kRetryPause{5};
constexpr std::int64_t kJournalPage = 500;  // entries read in one turn of the engine's thread
// Entries after which a start would rather read a snapshot.
constexpr std::int64_t kSnapshotEvery = 20'000;
constexpr std::int64_t kSnapshotAtEnd = 200;
constexpr std::int64_t kSnapshotAgain = 1'000;  // after one that could not be written
constexpr std::size_t kJournalPageBytes = std::size_t{1} << 20;  // or so many bytes

}  // namespace

Result<std::unique_ptr<EngineRunner>> EngineRunner::Open(const std::string& journal_path,
                                                         const Clock& clock, ActionSink& sink,
                                                         std::size_t kept_tasks) {
  TRIBUTARY_ASSIGN_OR_RETURN(Journal journal, Journal::Open(journal_path));
  std::unique_ptr<EngineRunner> runner(
      new EngineRunner(std::move(journal), clock, sink, kept_tasks));
  TRIBUTARY_RETURN_IF_ERROR(runner->Replay());
  return runner;
}

EngineRunner::~EngineRunner() { Stop(); }

// The newest snapshot that can be read; else the state before the first entry.
Result<Snapshot> EngineRunner::FindSnapshot(State* state) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Snapshot> snapshots, journal_.ReadSnapshots());
  for (const Snapshot& snapshot : snapshots) {
    auto decoded = DecodeState(snapshot.state);
    if (decoded.ok()) {
      *state = *std::move(decoded);
      return snapshot;
    }
    LogWarning("engine", "a snapshot cannot be read; the journal is",
               {{"sequence", snapshot.sequence}, {"reason", decoded.status()}});
  }
  return Snapshot{};
}

Status EngineRunner::Replay() {
  State state;
  TRIBUTARY_ASSIGN_OR_RETURN(const Snapshot snapshot, FindSnapshot(&state));
  since_snapshot_ = 0;
  bool derived = false;
  const Status read = journal_.Read(
      [&](const JournalEntry& entry) -> Status {
        const std::string where = "journal entry " + std::to_string(entry.sequence);
        TRIBUTARY_ASSIGN_OR_RETURN(const RecordedEvent recorded,
                                   DecodeRecord(entry.event_json).Annotate(where));
        ++since_snapshot_;
        if (recorded.format > 1) {
          Apply(&state, recorded.event, entry.at, entry.sequence);
          return OkStatus();
        }
        // Of before decisions were written down: they are made again, for the last time.
        derived = true;
        const bool asks_of_file = std::holds_alternative<CampaignSubmitted>(recorded.event);
        const Status status = asks_of_file ? OkStatus() : Check(state, recorded.event);
        if (!status.ok()) {
          return DataLossError(where + " does not fit the state before it: " + status.message());
        }
        state = Step(std::move(state), recorded.event, entry.at).state;
        return OkStatus();
      },
      snapshot.sequence);
  TRIBUTARY_RETURN_IF_ERROR(read);
  state_ = std::move(state);
  Compact(&state_, clock_.Now(), kept_tasks_);
  if (derived) TakeSnapshot();
  return OkStatus();
}

void EngineRunner::TakeSnapshot() {
  Compact(&state_, clock_.Now(), kept_tasks_);
  if (const Status status = journal_.WriteSnapshot(EncodeState(state_)); !status.ok()) {
    LogWarning("engine", "no snapshot can be written; a start reads more of the journal",
               {{"reason", status}});
    since_snapshot_ = kSnapshotEvery - kSnapshotAgain;
    return;
  }
  since_snapshot_ = 0;
}

void EngineRunner::Start() {
  for (const Action& action : Recover(state_)) sink_.Perform(action, state_);
  thread_ = std::thread([this] { Loop(); });
}

void EngineRunner::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void EngineRunner::Enqueue(Item item) {
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(item));
      wake_.NotifyOne();
      return;
    }
  }
  if (item.done) item.done(UnavailableError("the server is shutting down"));
}

void EngineRunner::Post(Event event, Done done) {
  Enqueue({std::move(event), std::move(done), nullptr});
}

void EngineRunner::Read(std::function<void(const State&)> work) {
  Enqueue({std::nullopt, nullptr, std::move(work)});
}

void EngineRunner::PostUntilDurable(Event event, Done settled) {
  Done done = [this, event, settled](const Status& status) {
    if (status.code() != StatusCode::kUnavailable) {  // durable, or refused by Check
      if (settled) settled(status);
      return;
    }
    MutexLock lock(mutex_);  // the journal cannot be written now
    if (!stopping_) retries_.emplace_back(event, settled);
  };
  Post(std::move(event), std::move(done));
}

void EngineRunner::Loop() {
  auto next_retry = std::chrono::steady_clock::now();
  while (true) {
    std::deque<Item> items;
    std::deque<std::pair<Event, Done>> retries;
    bool stopping = false;
    {
      MutexLock lock(mutex_);
      if (queue_.empty() && !stopping_) wake_.WaitFor(mutex_, kTick);
      items.swap(queue_);
      stopping = stopping_;
      if (std::chrono::steady_clock::now() >= next_retry && !Rests()) retries.swap(retries_);
    }
    if (!retries.empty()) next_retry = std::chrono::steady_clock::now() + kRetryPause;
    for (auto& [event, settled] : retries) PostUntilDurable(std::move(event), std::move(settled));
    if (stopping) {
      rests_until_.reset();  // the last try
    } else if (!Rests()) {
      AddDeadlineEvent(&items);
    }
    if (items.empty()) {
      sink_.Tick(state_, false);
    } else {
      Process(std::move(items));
    }
    if (stopping) {
      if (since_snapshot_ >= kSnapshotAtEnd) TakeSnapshot();
      return;
    }
  }
}

void EngineRunner::AddDeadlineEvent(std::deque<Item>* items) {
  deadlines_.Look(state_, clock_);
  if (auto campaign = deadlines_.Due(clock_)) {
    items->push_back({Event(DeadlinePassed{*std::move(campaign)}), nullptr, nullptr});
  }
}

bool EngineRunner::Rests() const {
  return rests_until_ && std::chrono::steady_clock::now() < *rests_until_;
}

// Group commit: steps through all queued events, journals them in one transaction, then answers and
// acts. When the journal refuses (a full disk), the state goes back to what the journal holds,
// which means to read all of it: not again before a pause.
void EngineRunner::Process(std::deque<Item> items) {
  std::vector<JournalEntry> entries;
  std::vector<Action> actions;
  std::vector<std::pair<Done, Status>> answers;
  std::vector<std::function<void(const State&)>> reads;
  std::set<std::string> opened;  // campaigns with a round that did
  const bool rests = Rests();
  for (Item& item : items) {
    if (item.read) {
      reads.push_back(std::move(item.read));
      continue;
    }
    Status status = rests ? UnavailableError("the journal cannot be written now; try again soon")
                          : Check(state_, *item.event);
    if (status.ok()) {
      const Timestamp now = clock_.Now();
      entries.push_back({0, now, EncodeEvent(*item.event)});
      const std::int64_t entry = journal_.last() + static_cast<std::int64_t>(entries.size());
      StepResult result = Step(std::move(state_), *item.event, now, entry);
      for (const Event& decision : result.decisions) {
        entries.push_back({0, now, EncodeEvent(decision)});
      }
      state_ = std::move(result.state);
      for (Action& action : result.actions) actions.push_back(std::move(action));
      for (const Event& decision : result.decisions) {
        if (const auto* round = std::get_if<RoundOpened>(&decision)) opened.insert(round->campaign);
      }
    }
    answers.emplace_back(std::move(item.done), std::move(status));
  }
  if (!entries.empty()) {
    if (const Status appended = journal_.Append(entries); !appended.ok()) {
      // One code for "not now", whatever the disk says: unlike a refusal by Check, it may be tried
      // again.
      const Status status = UnavailableError(appended.message());
      log_limit_.Log("journal", LogLevel::kError, "engine",
                     "the journal cannot be written; nothing is lost, senders will repeat",
                     {{"error", status}});
      rests_until_ = std::chrono::steady_clock::now() + kRetryPause;
      for (auto& [done, answer] : answers) {
        if (answer.ok()) answer = status;
      }
      actions.clear();
      if (const Status replayed = Replay(); !replayed.ok()) {
        LogError("engine", "the journal cannot be read back", {{"error", replayed}});
        std::abort();  // state and journal would part: a restart reads the journal again
      }
    }
  }
  if (!entries.empty() && !Rests()) {
    since_snapshot_ += static_cast<std::int64_t>(entries.size());
  }
  deadlines_.Look(state_, clock_);  // now, while the clock is what the events were written with
  for (auto& [done, status] : answers) {
    if (done) done(status);
  }
  for (const Action& action : actions) sink_.Perform(action, state_);
  for (const auto& read : reads) read(state_);
  sink_.Tick(state_, !entries.empty());
  for (const std::string& id : opened) {
    const auto campaign = state_.campaigns.find(id);
    if (campaign != state_.campaigns.end()) Compact(&campaign->second, clock_.Now(), kept_tasks_);
  }
  if (!entries.empty() && !Rests() && since_snapshot_ >= kSnapshotEvery) TakeSnapshot();
}

void EngineRunner::ReadJournal(std::int64_t after, std::function<void(Result<Page>)> done) {
  const auto refuse = [done](const Status& status) { done(status); };
  Enqueue({std::nullopt, refuse, [this, after, done](const State&) {
             Page page;
             std::size_t bytes = 0;
             const auto full = [&] { return bytes >= kJournalPageBytes; };
             const Status status = journal_.Read(
                 [&](const JournalEntry& entry) {
                   if (full()) return CancelledError("enough");
                   bytes += entry.event_json.size();
                   page.push_back(entry);
                   return OkStatus();
                 },
                 after, kJournalPage);
             if (status.ok() || full()) return done(std::move(page));
             done(status);
           }});
}

}  // namespace tributary::server
