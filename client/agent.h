// A site's daemon: one stream to the server, reconnected for ever; what comes down it is checked
// and handed on.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "client/backoff.h"
#include "client/client_config.h"
#include "client/client_journal.h"
#include "client/job_monitor.h"
#include "client/offers.h"
#include "client/site_ledger.h"
#include "client/task_runner.h"
#include "client/transfer.h"
#include "client/uplink.h"
#include "core/clock.h"
#include "core/log_limit.h"
#include "core/mutex.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::client {

// Whether a site's client stays connected, or comes, does what is due, and leaves.
enum class Presence : std::uint8_t { kStays, kVisits };

// Start, Visit and destruction from one thread.
class Agent final : public Uplink {
 public:
  // Reads keys, opens the journal, continues its tasks, begins to connect. `adapter` is the site's
  // scheduler; `ledger` and `clock` outlive the agent.
  static Result<std::unique_ptr<Agent>> Start(
      const ClientConfig& config, std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter,
      SiteLedger& ledger, const Clock& clock, Presence presence = Presence::kStays);
  // Closes the stream and stops; jobs run on.
  ~Agent() override;

  // Of one that visits: returns when all that could be done now is done and the server has nothing
  // more to say, at the latest after `limit`, or when `keep_going` says no. Unavailable when the
  // server was not reached; jobs have been looked after all the same.
  Status Visit(std::chrono::seconds limit, const std::function<bool()>& keep_going);

  bool Send(const v1::ClientMessage& message) override;
  const std::string& site() const { return site_; }  // as its certificate names it

 private:
  using Stream = grpc::ClientReaderWriterInterface<v1::ClientMessage, v1::ServerMessage>;

  Agent(const ClientConfig& config, SiteLedger& ledger) : config_(config), ledger_(ledger) {}

  void ConnectLoop();
  bool AwaitChannel();
  // True when the server answered everything that was sent before, and said nothing else meanwhile.
  bool HeardAll(const std::function<bool()>& go_on);
  std::string WhyAway();
  // One connection, from Hello to its end. Done when the server welcomed us.
  Verdict Converse();
  bool AwaitBeat() TRIBUTARY_REQUIRES(mutex_);
  void WatchLoop();
  void BeatLoop();
  void Handle(v1::ServerMessage message);
  // A message that no honest server sends: nothing of it is kept.
  void Refuse(const v1::ServerMessage& message, const Status& reason);
  // `sound`: what the check of the message said.
  void Answer(const v1::CampaignOffer& offer, const Status& sound);
  void SendFacts();
  bool Stopping();

  const ClientConfig config_;
  SiteLedger& ledger_;
  std::string site_;
  std::string ca_pem_, certificate_pem_;
  // How the server tells this daemon from a second one: drawn by its process, or kept in the
  // journal by one that visits.
  std::string instance_;
  std::chrono::seconds visits_{0};  // as Hello says it
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Federation::StubInterface> stub_;
  std::unique_ptr<ClientJournal> journal_;
  std::unique_ptr<JobMonitor> jobs_;
  std::unique_ptr<Transfer> transfer_;
  std::unique_ptr<TaskRunner> runner_;
  LogLimit log_limit_{/*lines=*/50};  // of what a server can cause
  std::unique_ptr<Offers> offers_;

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ TRIBUTARY_GUARDED_BY(mutex_) = nullptr;  // of the open stream
  std::chrono::seconds heartbeat_ TRIBUTARY_GUARDED_BY(mutex_){20};
  std::chrono::steady_clock::time_point heard_ TRIBUTARY_GUARDED_BY(mutex_);
  bool welcomed_ TRIBUTARY_GUARDED_BY(mutex_) = false;       // once, at least
  std::uint64_t answered_ TRIBUTARY_GUARDED_BY(mutex_) = 0;  // heartbeats
  std::uint64_t commands_ TRIBUTARY_GUARDED_BY(mutex_) = 0;  // anything else the server said

  Mutex write_mutex_;  // writes of a stream are one at a time; taken alone
  Stream* stream_ TRIBUTARY_GUARDED_BY(write_mutex_) = nullptr;

  std::thread connect_thread_;
  std::thread watch_thread_, beat_thread_;
};

}  // namespace tributary::client
