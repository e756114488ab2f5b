// Runs the campaign engine: one thread, one queue, the journal before the actions.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/log_limit.h"
#include "core/mutex.h"
#include "server/apply.h"
#include "server/deadline_watch.h"
#include "server/engine.h"
#include "server/journal.h"

namespace tributary::server {

// Performs actions and is told of changes. Called on the engine's thread: must not block.
class ActionSink {
 public:
  virtual ~ActionSink() = default;
  virtual void Perform(const Action& action, const State& state) = 0;
  // After each batch of events that changed the state, and about four times a second.
  virtual void Tick(const State& state, bool changed) = 0;
};

// Thread-safe. `clock` and `sink` outlive the runner.
class EngineRunner {
 public:
  // Folds the journal from its last snapshot on. Start() begins to work.
  // `kept_tasks`: as Compact takes it (apply.h).
  static Result<std::unique_ptr<EngineRunner>> Open(const std::string& journal_path,
                                                    const Clock& clock, ActionSink& sink,
                                                    std::size_t kept_tasks = kKeptTasks);
  ~EngineRunner();  // Stop()

  // The fold of the journal at Open(); only before Start().
  const State& recovered_state() const { return state_; }
  void Start();
  // Finishes what is queued, then ends the thread. Later posts are answered "unavailable".
  void Stop();

  // Checks, journals and applies the event, then calls `done` (may be null) on the engine's thread
  // with the outcome, before the actions of the event: OK means durable.
  using Done = std::function<void(const Status&)>;
  void Post(Event event, Done done);
  // Posts until it is durable or refused by Check: for events that nobody repeats, when the disk is
  // full for a while. Then calls `settled` (may be null) with the outcome, as Post() does.
  void PostUntilDurable(Event event, Done settled = nullptr);
  // Runs `work` on the engine's thread with the state as it then is. Must be short.
  void Read(std::function<void(const State&)> work);
  // Calls `done` on the engine's thread with a page of journal entries after sequence number
  // `after`, oldest first, empty at the end. A page is bounded in entries and bytes.
  using Page = std::vector<JournalEntry>;
  void ReadJournal(std::int64_t after, std::function<void(Result<Page>)> done);

 private:
  struct Item {
    std::optional<Event> event;
    Done done;
    std::function<void(const State&)> read;
  };
  EngineRunner(Journal journal, const Clock& clock, ActionSink& sink, std::size_t kept_tasks)
      : journal_(std::move(journal)), clock_(clock), sink_(sink), kept_tasks_(kept_tasks) {}

  void Loop();
  void Process(std::deque<Item> items);
  Status Replay();
  Result<Snapshot> FindSnapshot(State* state);
  void TakeSnapshot();
  void Enqueue(Item item);
  void AddDeadlineEvent(std::deque<Item>* items);
  bool Rests() const;

  Journal journal_;
  const Clock& clock_;
  ActionSink& sink_;
  const std::size_t kept_tasks_;
  State state_;                      // the engine's thread only, once started
  DeadlineWatch deadlines_;          // likewise
  std::int64_t since_snapshot_ = 0;  // journal entries; likewise
  // After the journal refused: until then nothing is tried. Likewise.
  std::optional<std::chrono::steady_clock::time_point> rests_until_;
  LogLimit log_limit_{/*lines=*/1};
  std::thread thread_;

  Mutex mutex_;
  CondVar wake_;
  std::deque<Item> queue_ TRIBUTARY_GUARDED_BY(mutex_);
  // Posted again after a pause.
  std::deque<std::pair<Event, Done>> retries_ TRIBUTARY_GUARDED_BY(mutex_);
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
};

}  // namespace tributary::server
