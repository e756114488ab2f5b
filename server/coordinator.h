// Between the engine and the world: performs its actions, turns what sites say into events, tells
// watchers of changes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/blob_store.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "security/identity.h"
#include "server/blob_holds.h"
#include "server/engine_runner.h"
#include "server/sessions.h"
#include "server/worker_pool.h"
#include "tributary/v1/control.pb.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// Someone who follows one campaign. Notify is called on the engine's thread and must not block;
// `last` when the campaign has ended.
struct Watcher {
  std::string campaign;
  std::function<void(const v1::CampaignStatus&, bool last)> notify;
};

// Thread-safe. Members of ActionSink run on the engine's thread.
class Coordinator final : public ActionSink {
 public:
  // Borrowed: all outlive the coordinator.
  Coordinator(const Clock& clock, BlobStore& blobs, WorkerPool& workers)
      : clock_(clock), blobs_(blobs), workers_(workers) {}

  // The runner needs the coordinator first, so it is given afterwards, once, before Start().
  void SetRunner(EngineRunner* runner) { runner_ = runner; }
  Sessions& sessions() { return sessions_; }
  BlobHolds& holds() { return holds_; }

  void Perform(const Action& action, const State& state) override;
  void Tick(const State& state, bool changed) override;

  // A site's stream is up: offers and tasks go out.
  // `known`: the tasks that the site works on; those that are settled are withdrawn or
  // acknowledged.
  void SiteConnected(const std::string& site, std::vector<std::string> known);
  // One message from a site whose certificate was verified.
  void HandleMessage(const std::string& site, const std::string& certificate_pem,
                     v1::ClientMessage message);

  // Held weakly: a watcher ends by being destroyed. It hears the present status at once.
  void Watch(std::shared_ptr<Watcher> watcher);
  std::map<std::string, v1::TaskProgress> Progress() const;

  enum class BlobUse { kRead, kWrite };
  // Whether `who` may read or write this blob, asked of the engine's state; answers on the engine's
  // thread.
  void AuthorizeBlob(const security::Identity& who, const Digest& digest, BlobUse use,
                     const std::string& task, std::function<void(Status)> answer);

 private:
  void Aggregate(const AggregateRound& action, const State& state);
  void HandleReport(const std::string& site, const std::string& certificate_pem,
                    v1::TaskReport report);
  void JudgeReport(const std::string& site, const std::string& certificate_pem,
                   v1::TaskReport report, const State& state);
  void DoneJudging(const std::string& task);
  void Remove(const RemoveBlobs& action, const State& state);
  void SendAck(const AcknowledgeReport& ack, bool resend = false);
  Result<Manifest> ManifestOf(const Campaign& campaign);

  const Clock& clock_;
  BlobStore& blobs_;
  WorkerPool& workers_;
  EngineRunner* runner_ = nullptr;
  Sessions sessions_;
  BlobHolds holds_;

  // The engine's thread only.
  std::map<std::string, Manifest> manifests_;
  std::set<std::pair<std::string, std::int64_t>> aggregating_;
  std::map<std::string, BlobHolds::Hold> judging_;  // task -> update of the report under judgement
  Timestamp last_notify_;
  bool notify_due_ = false;

  mutable Mutex mutex_;
  std::map<std::string, v1::TaskProgress> progress_ TRIBUTARY_GUARDED_BY(mutex_);
  bool progress_changed_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<Watcher>> watchers_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server
