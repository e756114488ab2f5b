// What people and sites ask about rounds that are past (Round::past): read from the journal, beside
// the engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/log_limit.h"
#include "server/action.h"
#include "server/engine_runner.h"
#include "server/past_rounds.h"
#include "server/worker_pool.h"
#include "tributary/v1/control.pb.h"

namespace tributary::server {

// Rounds of a campaign, both counted. 0: from the first, to the last.
struct RoundRange {
  std::int64_t from = 0;
  std::int64_t to = 0;
};

// One reading after the other. Its functions are called on the engine's thread, and call back on
// it; but for Stop().
class CampaignHistory {
 public:
  using StatusOf = std::function<v1::CampaignStatus(const Campaign&)>;  // without past rounds
  CampaignHistory(WorkerPool& readers, StatusOf status_of)
      : readers_(readers), status_of_(std::move(status_of)) {}
  // Once, before the runner starts.
  void SetRunner(EngineRunner* runner) { runner_ = runner; }
  // Readings end soon: who waits for one hears "unavailable". Any thread.
  void Stop() { stop_ = true; }

  // The status of a campaign that is there, with these rounds of its history, or the newest of them
  // where they are too many for one answer. Resource exhausted while too many wait for a reading;
  // cancelled when it is its turn and `wanted` says that nobody waits for it any more.
  using Described = std::function<void(Result<v1::CampaignStatus>, const State&)>;
  void Describe(const State& state, const std::string& campaign, RoundRange range, Described done,
                std::function<bool()> wanted = nullptr);

  // The verdict on a task of a round that is past (PastRoundOf), for a site that repeats its
  // report. Sites take turns; one that asks for very many is not answered now, and will ask again.
  using Judged = std::function<void(const AcknowledgeReport&, const State&)>;
  void Judge(const State& state, const std::string& site, const std::string& task, Judged done);

 private:
  struct Description {
    std::string campaign;
    RoundRange range;
    Described done;
    std::function<bool()> wanted;
    std::vector<v1::RoundStatus> past;
    std::int64_t read_to = 0;  // the last round in `past`
  };
  struct Question {
    std::string task;
    Judged done;
  };

  void Continue(const State& state, const std::shared_ptr<Description>& what);
  void Read(const Campaign& campaign, RoundRange range, const std::string& task,
            std::function<void(Status, const PastRounds&)> done);
  void NextDescription(const State& state);
  void AnswerNext(const State& state);
  Question TakeQuestion(const std::string& site);

  WorkerPool& readers_;
  const StatusOf status_of_;
  EngineRunner* runner_ = nullptr;
  std::atomic<bool> stop_ = false;
  std::deque<std::shared_ptr<Description>> waiting_;       // for a reading
  bool reading_ = false;                                   // of a description
  std::map<std::string, std::deque<Question>> questions_;  // by site
  std::string answered_;                                   // the site that had its turn
  LogLimit log_limit_{/*lines=*/10};
  bool answering_ = false;
};

}  // namespace tributary::server
