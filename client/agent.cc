#include "client/agent.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "client/pilots.h"
#include "client/policy.h"
#include "client/site_facts.h"
#include "core/files.h"
#include "core/log.h"
#include "core/version.h"
#include "security/grpc_credentials.h"
#include "security/key_file.h"

namespace tributary::client {
namespace {

constexpr std::uint32_t kProtocol = 1;
constexpr std::chrono::milliseconds kFirstPause{200};
constexpr std::chrono::seconds kLongestPause{60};
constexpr std::chrono::milliseconds kStopInterval{100};
constexpr std::chrono::seconds kAwaySaid{30};  // between two words about it
constexpr int kSilentHeartbeats = 3;           // then the connection is given up
constexpr int kStreamWindowBytes = 4 << 20;
constexpr int kFrameBytes = 1 << 20;
constexpr int kMaxMessageBytes = 64 << 20;  // an offer carries the adapter's whole manifest

grpc::ChannelArguments TransportOptions(const std::string& server_name) {
  grpc::ChannelArguments arguments;
  if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 1);
  return arguments;
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::Start(
    const ClientConfig& config, std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter,
    SiteLedger& ledger, const Clock& clock) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(config.workspace).Annotate("workspace"));
  if (const std::string network = NetworkFilesystemOf(config.state_dir); !network.empty()) {
    LogWarning("client", "state_dir is on a network file system; SQLite needs a local disk",
               {{"state_dir", config.state_dir}, {"file_system", network}});
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string ca, ReadFile(config.tls.ca));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string certificate, ReadFile(config.tls.certificate));
  TRIBUTARY_ASSIGN_OR_RETURN(auto key, security::ReadKeyFile(config.tls.key));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto identity,
      security::CertificateIdentity(certificate).Annotate(config.tls.certificate));
  if (identity.role != security::Role::kSite) {
    return FailedPreconditionError(config.tls.certificate + ": is the certificate of a " +
                                   std::string(security::RoleName(identity.role)) +
                                   "; a client needs one of a site");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto credentials,
      security::MakeChannelCredentials(ca, security::CertificateAndKey{certificate, key}));

  std::unique_ptr<Agent> agent(new Agent(config, ledger));
  agent->site_ = identity.name;
  agent->channel_ =
      grpc::CreateCustomChannel(config.server, credentials, TransportOptions(config.server_name));
  agent->stub_ = v1::Federation::NewStub(agent->channel_);
  TRIBUTARY_ASSIGN_OR_RETURN(agent->journal_,
                             ClientJournal::Open(JoinPath(config.state_dir, "client.db")));
  TRIBUTARY_ASSIGN_OR_RETURN(agent->offers_, agent->journal_->LoadOffers());
  agent->jobs_ = std::make_unique<JobMonitor>(std::move(adapter), config.job.poll_interval);
  agent->transfer_ = std::make_unique<Transfer>(agent->channel_);
  agent->runner_ = std::make_unique<TaskRunner>(
      RunnerParts{agent->config_, agent->site_, std::move(key), clock, *agent->journal_,
                  agent->ledger_, *agent->jobs_, *agent->transfer_, *agent});
  TRIBUTARY_RETURN_IF_ERROR(agent->runner_->Recover());
  LogInfo("client", "started",
          {{"site", agent->site_},
           {"server", config.server},
           {"scheduler", config.scheduler.adapter},
           {"version", kVersion}});
  agent->connect_thread_ = std::thread([a = agent.get()] { a->ConnectLoop(); });
  agent->watch_thread_ = std::thread([a = agent.get()] { a->WatchLoop(); });
  return agent;
}

Agent::~Agent() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
    changed_.NotifyAll();
  }
  if (connect_thread_.joinable()) connect_thread_.join();
  if (watch_thread_.joinable()) watch_thread_.join();
  runner_.reset();
  jobs_.reset();
}

bool Agent::Stopping() {
  MutexLock lock(mutex_);
  return stopping_;
}

bool Agent::Send(const v1::ClientMessage& message) {
  MutexLock lock(write_mutex_);
  return stream_ != nullptr && stream_->Write(message);
}

void Agent::ConnectLoop() {
  Backoff backoff(kFirstPause, kLongestPause);
  while (AwaitChannel()) {
    if (Converse()) backoff.Reset();
    const auto until = std::chrono::steady_clock::now() + backoff.Next();
    MutexLock lock(mutex_);
    while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
    }
  }
}

// A channel makes progress only while somebody waits on it; the channel itself backs off between
// its attempts. False when the agent stops.
bool Agent::AwaitChannel() {
  auto say = std::chrono::steady_clock::now() + kAwaySaid;
  while (!Stopping()) {
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + kStopInterval)) return true;
    if (std::chrono::steady_clock::now() < say) continue;
    say = std::chrono::steady_clock::now() + kAwaySaid;
    LogWarning("client", "the server cannot be reached; still trying",
               {{"server", config_.server}});
  }
  return false;
}

bool Agent::Converse() {
  grpc::ClientContext context;
  {
    MutexLock lock(mutex_);
    if (stopping_) return false;
    context_ = &context;
    heard_ = std::chrono::steady_clock::now();
  }
  const auto stream = stub_->Connect(&context);
  v1::ClientMessage hello;
  hello.mutable_hello()->set_protocol_min(kProtocol);
  hello.mutable_hello()->set_protocol_max(kProtocol);
  hello.mutable_hello()->set_client_version(kVersion);
  for (const std::string& task : runner_->KnownTasks()) hello.mutable_hello()->add_tasks(task);
  v1::ServerMessage message;
  bool welcomed = false;
  if (stream->Write(hello) && stream->Read(&message) && message.has_welcome()) {
    welcomed = true;
    LogInfo("client", "connected", {{"server_version", message.welcome().server_version()}});
    {
      MutexLock lock(mutex_);
      heartbeat_ = std::chrono::seconds(std::max(1U, message.welcome().heartbeat_seconds()));
    }
    {
      MutexLock lock(write_mutex_);
      stream_ = stream.get();
    }
    runner_->Reconnected();
    SendFacts();
    while (stream->Read(&message)) {
      {
        MutexLock lock(mutex_);
        heard_ = std::chrono::steady_clock::now();
      }
      Handle(message);
    }
  }
  {
    MutexLock lock(write_mutex_);
    stream_ = nullptr;
  }
  context.TryCancel();  // a no-op when the stream has ended
  const grpc::Status status = stream->Finish();
  {
    MutexLock lock(mutex_);
    context_ = nullptr;
    if (!stopping_) {
      LogWarning("client", welcomed ? "disconnected; will reconnect" : "cannot connect; will retry",
                 {{"server", config_.server},
                  {"reason", status.error_message()},
                  {"code", static_cast<int>(status.error_code())}});
    }
  }
  return welcomed;
}

// Heartbeats; and ends a stream on which the server has been silent for too long.
void Agent::WatchLoop() {
  while (true) {
    v1::ClientMessage beat;
    {
      MutexLock lock(mutex_);
      const auto until = std::chrono::steady_clock::now() + heartbeat_;
      while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
      }
      if (stopping_) return;
      if (context_ == nullptr) continue;
      if (std::chrono::steady_clock::now() - heard_ > kSilentHeartbeats * heartbeat_) {
        LogWarning("client", "the server is silent; reconnecting");
        context_->TryCancel();
        continue;
      }
    }
    beat.mutable_heartbeat()->set_sent_at_us(ToMicros(SystemClock().Now()));
    (void)Send(beat);
    SendFacts();
  }
}

void Agent::SendFacts() {
  if (const Status recorded = RecordPilots(config_, ledger_); !recorded.ok()) {
    LogWarning("client", "the idle time of pilots cannot be recorded", {{"reason", recorded}});
  }
  auto facts = MakeSiteFacts(config_, ledger_);
  if (!facts.ok()) {
    LogWarning("client", "the ledger cannot be read", {{"reason", facts.status()}});
    return;
  }
  facts->set_scheduler(runner_->SchedulerVersion());
  v1::ClientMessage message;
  *message.mutable_facts() = *std::move(facts);
  (void)Send(message);
}

void Agent::Handle(const v1::ServerMessage& message) {
  switch (message.kind_case()) {
    case v1::ServerMessage::kCampaignOffer:
      return Answer(message.campaign_offer());
    case v1::ServerMessage::kCampaignClosed: {
      const std::string& campaign = message.campaign_closed().campaign();
      if (!offers_.contains(campaign)) return;
      LogInfo("client", "campaign ended",
              {{"campaign", campaign}, {"state", message.campaign_closed().state()}});
      runner_->CloseCampaign(campaign);
      offers_.erase(campaign);
      if (const Status status = journal_->RemoveOffer(campaign); !status.ok()) {
        LogWarning("client", "an ended campaign stays in the journal", {{"reason", status}});
      }
      return;
    }
    case v1::ServerMessage::kTask: {
      const auto offer = offers_.find(message.task().campaign());
      if (offer == offers_.end()) return;  // not accepted: the offer comes first and again
      return runner_->Assign(offer->second, message.task());
    }
    case v1::ServerMessage::kCancel:
      return runner_->Cancel(message.cancel().task(), message.cancel().reason());
    case v1::ServerMessage::kReportAck:
      return runner_->Acknowledge(message.report_ack());
    case v1::ServerMessage::kGoodbye:
      LogInfo("client", "the server says goodbye", {{"reason", message.goodbye().reason()}});
      return;
    default:
      return;
  }
}

void Agent::Answer(const v1::CampaignOffer& offer) {
  const Status status = CheckOffer(config_.policy, offer);
  if (status.ok()) {
    if (const Status saved = journal_->SaveOffer(offer); !saved.ok()) {
      // No answer: the offer comes again with the next connection.
      LogError("client", "an offer cannot be journaled", {{"reason", saved}});
      return;
    }
    offers_[offer.campaign()] = offer;
  } else if (offers_.erase(offer.campaign()) >
             0) {  // the policy has changed: nothing of it goes on
    runner_->CloseCampaign(offer.campaign());
    (void)journal_->RemoveOffer(offer.campaign());  // refused again after a restart
  }
  LogInfo("client", status.ok() ? "campaign accepted" : "campaign refused",
          {{"campaign", offer.campaign()}, {"lead", offer.lead()}, {"reason", status.message()}});
  v1::ClientMessage message;
  message.mutable_campaign_answer()->set_campaign(offer.campaign());
  message.mutable_campaign_answer()->set_accepted(status.ok());
  message.mutable_campaign_answer()->set_reason(status.message());
  (void)Send(message);
}

}  // namespace tributary::client
