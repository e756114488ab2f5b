// Between the engine and the world: performs its actions, turns what sites say into events, tells
// watchers of changes.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/blob_store.h"
#include "core/clock.h"
#include "core/log_limit.h"
#include "core/mutex.h"
#include "security/identity.h"
#include "server/blob_holds.h"
#include "server/campaign_history.h"
#include "server/engine_runner.h"
#include "server/fold.h"
#include "server/progress_board.h"
#include "server/sessions.h"
#include "server/worker_pool.h"
#include "tributary/v1/control.pb.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// Someone who follows one campaign. Notify is called on the engine's thread and must not block;
// `last` when the campaign has ended, or is not known.
struct Watcher {
  std::string campaign;
  bool changes = false;  // after the first status only what changed
  std::int64_t rounds_from = 0;
  std::function<void(const Result<v1::CampaignStatus>&, bool last)> notify;
  v1::CampaignStatus whole = {};  // for one who wants it each time
  bool is_new = true;             // has heard the first status alone
};

// Thread-safe. Members of ActionSink run on the engine's thread.
class Coordinator final : public ActionSink {
 public:
  // Work that must not run on the engine's thread. No check waits for a fold.
  struct Lanes {
    WorkerPool& checks;
    WorkerPool& folds;
    WorkerPool& readers;  // of the journal
  };
  struct Limits {
    unsigned fold_threads = 2;  // of each fold
    KeepRule keep = {};
  };
  // Borrowed: all outlive the coordinator.
  Coordinator(const Clock& clock, BlobStore& blobs, Lanes lanes, Limits limits)
      : clock_(clock),
        blobs_(blobs),
        lanes_(lanes),
        limits_(limits),
        history_(lanes.readers, [this](const Campaign& c) { return StatusOf(c); }) {}

  // The runner needs the coordinator first, so it is given afterwards, once, before Start().
  void SetRunner(EngineRunner* runner) {
    runner_ = runner;
    history_.SetRunner(runner);
  }
  Sessions& sessions() { return sessions_; }
  BlobHolds& holds() { return holds_; }
  // Before the runner stops in good order: folds under way end soon, for nothing, which is not held
  // against their rounds. Waits for the engine's thread.
  void NoteStop();

  void Perform(const Action& action, const State& state) override;
  void Tick(const State& state, bool changed) override;

  // A site's stream is up: offers and tasks go out.
  // `known`: the tasks that the site works on; those that are settled are withdrawn or
  // acknowledged.
  void SiteConnected(const std::string& site, std::vector<std::string> known);
  // One message, checked (message_check.h), from a site whose certificate was verified.
  void HandleMessage(const std::string& site, const std::string& certificate_pem,
                     v1::ClientMessage message);

  // Held weakly: a watcher ends by being destroyed. It hears the present status first.
  void Watch(std::shared_ptr<Watcher> watcher);
  // With what sites last said of their tasks, and which of them are away; without rounds that are
  // past.
  v1::CampaignStatus StatusOf(const Campaign& campaign) const;
  // On the engine's thread alone, but to stop it.
  CampaignHistory& history() { return history_; }

  // Reads the tensors of a first adapter, so that the engine's thread need not: before its campaign
  // is posted, and for those that live at the start. Any thread.
  Status LoadManifest(const Digest& initial);
  void LoadManifests(const State& state);

  enum class BlobUse { kRead, kWrite };
  // Whether `who` may read or write this blob, asked of the engine's state; answers on the engine's
  // thread.
  void AuthorizeBlob(const security::Identity& who, const Digest& digest, BlobUse use,
                     const std::string& task, std::function<void(Status)> answer);

  // Whether a campaign may begin with this blob, which somebody names. On the engine's thread.
  Status CheckMayBeginWith(const State& state, const Digest& digest) const;

  // A site's upload lands, of bytes that were not here; or it does not after all. Any thread.
  void NoteSent(const Digest& digest, bool landed);

  // A blob that was read is not what its name says: it is set aside, and the versions that it
  // belongs to are known as damaged. Any thread.
  void NoteDamaged(const Digest& digest, const std::string& reason);
  // A blob is not on the disk: damage likewise, unless the engine has let go of it. Any thread.
  void NoteGone(const Digest& digest);
  // A blob that was read is what its name says: versions that were damaged by it are so no more.
  // Any thread.
  void NoteWhole(const Digest& digest);

 private:
  using FoldKey = std::tuple<std::string, std::int64_t, std::int64_t>;  // campaign, round, closing

  void Aggregate(const AggregateRound& action, const State& state);
  void Do(const Action& action, const State& state);
  void Remind(const State& state);
  void RunFold(const FoldWork& work, std::int64_t number);
  void EndFold(const FoldKey& key, std::int64_t number);
  void SetDamagedAside(const std::string& site, const Digest& digest);
  void PostDamage(const Digest& digest, const std::string& reason, const State& state);
  void HandleReport(const std::string& site, const std::string& certificate_pem,
                    v1::TaskReport report);
  void JudgeReport(const std::string& site, const std::string& certificate_pem,
                   v1::TaskReport report, const State& state);
  void DoneJudging(const std::string& task);
  void Remove(const RemoveBlobs& action, const State& state);
  void SendAck(const AcknowledgeReport& ack, bool resend = false);
  bool Judged(const State& state, const std::string& site, const std::string& task,
              const CampaignHistory::Judged& tell);
  void TellSite(const std::string& site, const AcknowledgeReport& verdict, const State& state);
  void TellWatchers(const State& state);
  Result<std::shared_ptr<const Manifest>> ManifestOf(const Campaign& campaign);

  const Clock& clock_;
  BlobStore& blobs_;
  const Lanes lanes_;
  const Limits limits_;
  EngineRunner* runner_ = nullptr;
  Sessions sessions_;
  BlobHolds holds_;
  ProgressBoard progress_;
  CampaignHistory history_;
  LogLimit log_limit_{/*lines=*/100};  // of what a site can cause
  std::atomic<bool> stopping_ = false;

  // The engine's thread only.
  std::map<FoldKey, std::int64_t> aggregating_;     // -> number of the fold under way
  std::int64_t folds_ = 0;                          // begun
  std::map<std::string, BlobHolds::Hold> judging_;  // task -> update of the report under judgement
  std::chrono::microseconds notified_{0};           // Clock::Elapsed(), as below
  std::chrono::microseconds reminded_{0};
  bool notify_due_ = false;
  std::vector<std::weak_ptr<Watcher>> watchers_;
  std::map<std::string, v1::CampaignStatus> told_;  // campaign -> what all who watch it know

  mutable Mutex mutex_;
  // By sites for their tasks, since the start, and still here.
  std::set<Digest> sent_ TRIBUTARY_GUARDED_BY(mutex_);
  std::map<Digest, std::shared_ptr<const Manifest>> manifests_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server
