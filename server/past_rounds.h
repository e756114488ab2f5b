// Rounds that are past (Round::past), folded again from the journal.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/campaign_state.h"
#include "server/engine_runner.h"
#include "server/worker_pool.h"

namespace tributary::server {

// Folds the journal's entries, in order, from the one that opened the first of these rounds.
class PastRounds {
 public:
  // Rounds `from` to `to` of the campaign, both counted. With a task of theirs: only as far as its
  // end.
  PastRounds(const std::string& campaign, std::int64_t from, std::int64_t to,
             std::string task = "");

  // Whether more entries are wanted: until the rounds are closed and all that they gave out is
  // settled; of one task, until it is, or its site has nothing of the round any more. What comes
  // very late, after so many rounds and entries, is not waited for where no task was named. Data
  // loss: the entry cannot be read.
  Result<bool> Take(const JournalEntry& entry);

  // Its rounds from the first one asked for, and their tasks; nothing else of the campaign.
  const Campaign& campaign() const { return state_.campaigns.begin()->second; }

 private:
  static constexpr std::int64_t kLateEntries = 50'000;

  bool IsWhole() const;
  bool IsOurs(std::int64_t round) const { return round >= from_ && round <= to_; }
  bool Concerns(Event* event);
  void LetGo(const std::vector<Task>& carried);

  const std::int64_t from_;
  const std::int64_t to_;
  const std::string task_;
  const std::string mention_;  // what an entry about the campaign has in its text
  std::int64_t opened_ = 0;    // the last round that opened
  std::int64_t taken_ = 0;     // entries
  bool ended_ = false;
  State state_;
};

// Reads the journal from entry `first` for `rounds` until they are whole, then calls `done` on a
// thread of `workers`; unavailable once `stop` is set, which outlives the reading. The engine's
// thread reads pages, nothing else.
void ReadPastRounds(EngineRunner& runner, WorkerPool& workers, std::int64_t first,
                    std::shared_ptr<PastRounds> rounds, const std::atomic<bool>& stop,
                    std::function<void(Status)> done);

}  // namespace tributary::server
