#include "client/agent.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <unistd.h>

#include <random>

#include "client/assignment_check.h"
#include "client/call_verdict.h"
#include "client/pilots.h"
#include "client/proxy_channel.h"
#include "client/site_facts.h"
#include "core/campaign_file.h"
#include "core/files.h"
#include "core/log.h"
#include "core/sha256.h"
#include "core/version.h"
#include "security/grpc_credentials.h"
#include "security/key_file.h"
#include "security/reach.h"

namespace tributary::client {
namespace {

constexpr std::uint32_t kProtocol = 1;
constexpr std::chrono::milliseconds kFirstPause{200};
constexpr std::chrono::seconds kLongestPause{60};
constexpr std::chrono::milliseconds kStopInterval{100};
constexpr std::chrono::seconds kAwaySaid{30};          // between two words about it
constexpr std::chrono::seconds kFirstSaid{5};          // until the first
constexpr std::chrono::seconds kProbeLimit{3};         // of a step
constexpr std::chrono::milliseconds kVisitPoll{2000};  // a visit is short
constexpr std::chrono::seconds kQuiet{2};
constexpr std::chrono::seconds kVisitAsking{20};  // of the trainer, about an offer
constexpr int kSilentHeartbeats = 3;              // then the connection is given up
constexpr int kStreamWindowBytes = 4 << 20;
constexpr int kFrameBytes = 1 << 20;
constexpr int kMaxMessageBytes = 64 << 20;  // an offer carries the adapter's whole manifest

grpc::ChannelArguments TransportOptions(const ClientConfig& config) {
  grpc::ChannelArguments arguments;
  if (!config.server_name.empty()) arguments.SetSslTargetNameOverride(config.server_name);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  SetProxy(config.server, &arguments);
  return arguments;
}

std::string NewInstance() {
  std::random_device device;
  std::string bits;
  for (int i = 0; i < 4; ++i) bits += std::to_string(device()) + "-";
  return Sha256Of(bits).ToHex().substr(0, 32);
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::Start(
    const ClientConfig& config, std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter,
    SiteLedger& ledger, const Clock& clock, Presence presence) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(config.workspace).Annotate("workspace"));
  if (const std::string network = NetworkFilesystemOf(config.state_dir); !network.empty()) {
    LogWarning("client", "state_dir is on a network file system; SQLite needs a local disk",
               {{"state_dir", config.state_dir}, {"file_system", network}});
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string ca, security::ReadCertificateFile(config.tls.ca));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string certificate,
                             security::ReadCertificateFile(config.tls.certificate));
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
  agent->ca_pem_ = ca;
  agent->certificate_pem_ = certificate;
  agent->instance_ = NewInstance();
  agent->channel_ = grpc::CreateCustomChannel(config.server, credentials, TransportOptions(config));
  agent->stub_ = v1::Federation::NewStub(agent->channel_);
  TRIBUTARY_ASSIGN_OR_RETURN(agent->journal_,
                             ClientJournal::Open(JoinPath(config.state_dir, "client.db")));
  auto poll_interval = config.job.poll_interval;
  if (presence == Presence::kVisits) {
    TRIBUTARY_ASSIGN_OR_RETURN(agent->instance_, agent->journal_->Instance(agent->instance_));
    // Where locks do not hold between two login nodes, the server tells their visits apart.
    agent->instance_ = Sha256Of(agent->instance_ + HostName()).ToHex().substr(0, 32);
    TRIBUTARY_ASSIGN_OR_RETURN(agent->visits_, agent->journal_->NoteVisit(clock.Now()));
    poll_interval = std::min(poll_interval, kVisitPoll);
  }
  AskingTime asking;
  if (presence == Presence::kVisits) asking.at_once = kVisitAsking;
  agent->offers_ = std::make_unique<Offers>(agent->config_, *agent->journal_, agent->ledger_,
                                            *agent, agent->log_limit_, asking);
  TRIBUTARY_RETURN_IF_ERROR(agent->offers_->Load());
  agent->jobs_ = std::make_unique<JobMonitor>(std::move(adapter), poll_interval);
  agent->transfer_ = std::make_unique<Transfer>(agent->channel_, Patience::kDaemon);
  agent->runner_ = std::make_unique<TaskRunner>(
      RunnerParts{agent->config_, agent->site_, std::move(key), clock, *agent->journal_,
                  agent->ledger_, *agent->jobs_, *agent->transfer_, *agent});
  TRIBUTARY_RETURN_IF_ERROR(agent->runner_->Recover(agent->offers_->All()));
  LogInfo("client", "started",
          {{"site", agent->site_},
           {"server", config.server},
           {"scheduler", config.scheduler.adapter},
           {"version", kVersion}});
  agent->connect_thread_ = std::thread([a = agent.get()] { a->ConnectLoop(); });
  agent->watch_thread_ = std::thread([a = agent.get()] { a->WatchLoop(); });
  agent->beat_thread_ = std::thread([a = agent.get()] { a->BeatLoop(); });
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
  if (beat_thread_.joinable()) beat_thread_.join();
  offers_.reset();
  runner_.reset();
  jobs_.reset();
}

bool Agent::Stopping() {
  MutexLock lock(mutex_);
  return stopping_;
}

Status Agent::Visit(std::chrono::seconds limit, const std::function<bool()>& keep_going) {
  const auto until = std::chrono::steady_clock::now() + limit;
  const auto go_on = [&] { return std::chrono::steady_clock::now() < until && keep_going(); };
  while (go_on()) {
    if (offers_->AtRest() && runner_->AtRest() && HeardAll(go_on) && offers_->AtRest() &&
        runner_->AtRest()) {
      SendFacts();  // with what this visit saw
      (void)HeardAll(go_on);
      return OkStatus();
    }
    std::this_thread::sleep_for(kStopInterval);
  }
  MutexLock lock(mutex_);
  if (welcomed_ || !keep_going()) return OkStatus();
  return UnavailableError("the server at " + config_.server + " was not reached within " +
                          std::to_string(limit.count()) + " s");
}

bool Agent::HeardAll(const std::function<bool()>& go_on) {
  std::uint64_t answered = 0, commands = 0;
  {
    MutexLock lock(mutex_);
    answered = answered_;
    commands = commands_;
  }
  v1::ClientMessage beat;
  beat.mutable_heartbeat()->set_sent_at_us(ToMicros(SystemClock().Now()));
  if (!Send(beat)) return false;
  // What a report sets off (a round that closes, the next one's tasks) takes the server a moment.
  const auto quiet = std::chrono::steady_clock::now() + kQuiet;
  while (go_on()) {
    std::this_thread::sleep_for(kStopInterval);
    MutexLock lock(mutex_);
    if (commands != commands_ || context_ == nullptr) return false;
    if (answered != answered_ && std::chrono::steady_clock::now() >= quiet) return true;
  }
  return false;
}

bool Agent::Send(const v1::ClientMessage& message) {
  MutexLock lock(write_mutex_);
  return stream_ != nullptr && stream_->Write(message);
}

void Agent::ConnectLoop() {
  Backoff backoff(kFirstPause, kLongestPause);
  while (AwaitChannel()) {
    switch (Converse()) {
      case Verdict::kDone:
        backoff.Reset();
        break;
      case Verdict::kTransient:
        break;
      default:  // asked again all the same, but not soon: somebody may have mended it
        backoff.Stretch();
    }
    const auto until = std::chrono::steady_clock::now() + backoff.Next();
    MutexLock lock(mutex_);
    while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
    }
  }
}

// A channel makes progress only while somebody waits on it; the channel itself backs off between
// its attempts. False when the agent stops.
bool Agent::AwaitChannel() {
  auto say = std::chrono::steady_clock::now() + kFirstSaid;
  while (!Stopping()) {
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + kStopInterval)) return true;
    if (std::chrono::steady_clock::now() < say) continue;
    say = std::chrono::steady_clock::now() + kAwaySaid;
    LogWarning("client", "the server cannot be reached; still trying",
               {{"server", config_.server}, {"reason", WhyAway()}});
  }
  return false;
}

// In words; gRPC's are of its own insides.
std::string Agent::WhyAway() {
  const auto server = SplitHostAndPort(config_.server);
  if (server && ChooseProxy(*server, VariableOfProcess).in_use) {
    return "it is behind a proxy: `tributary-client doctor` looks at each step";
  }
  const Status reached =
      security::ExplainReach({config_.server, config_.server_name, ca_pem_, certificate_pem_},
                             SystemClock().Now(), kProbeLimit);
  return reached.ok() ? "each step works now" : reached.message();
}

Verdict Agent::Converse() {
  grpc::ClientContext context;
  {
    MutexLock lock(mutex_);
    if (stopping_) return Verdict::kDone;
    context_ = &context;
    heard_ = std::chrono::steady_clock::now();
  }
  const auto stream = stub_->Connect(&context);
  v1::ClientMessage hello;
  hello.mutable_hello()->set_protocol_min(kProtocol);
  hello.mutable_hello()->set_protocol_max(kProtocol);
  hello.mutable_hello()->set_client_version(kVersion);
  hello.mutable_hello()->set_instance(instance_);
  hello.mutable_hello()->set_host(HostName());
  hello.mutable_hello()->set_visit_seconds(static_cast<std::uint32_t>(visits_.count()));
  for (const std::string& task : runner_->KnownTasks()) hello.mutable_hello()->add_tasks(task);
  v1::ServerMessage message;
  bool welcomed = false;
  const bool heard = stream->Write(hello) && stream->Read(&message);
  const Status sound = heard ? CheckServerMessage(message) : OkStatus();
  if (!sound.ok()) Refuse(message, sound);
  if (heard && sound.ok() && message.has_welcome()) {
    welcomed = true;
    LogInfo("client", "connected", {{"server_version", message.welcome().server_version()}});
    {
      MutexLock lock(mutex_);
      heartbeat_ = std::chrono::seconds(message.welcome().heartbeat_seconds());
      welcomed_ = true;
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
        ++(message.has_heartbeat() ? answered_ : commands_);
      }
      Handle(std::move(message));
      message.Clear();
    }
  }
  {
    MutexLock lock(write_mutex_);
    stream_ = nullptr;
  }
  // Where reading ended, the stream has: to cancel it now would hide the server's reason.
  if (heard && !welcomed) context.TryCancel();
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
  if (welcomed) return Verdict::kDone;
  if (status.ok()) return Verdict::kTransient;  // it ended before it said anything
  return VerdictOn(Call::kConnect, static_cast<StatusCode>(status.error_code()));
}

// False when the agent stops.
bool Agent::AwaitBeat() {
  const auto until = std::chrono::steady_clock::now() + heartbeat_;
  while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
  }
  return !stopping_;
}

// Ends a stream on which the server has been silent for too long. A thread of its own, which sends
// nothing: a server that does not read blocks every one that does, and to end the stream is what
// frees them.
void Agent::WatchLoop() {
  MutexLock lock(mutex_);
  while (AwaitBeat()) {
    if (context_ == nullptr) continue;
    if (std::chrono::steady_clock::now() - heard_ <= kSilentHeartbeats * heartbeat_) continue;
    LogWarning("client", "the server is silent; reconnecting");
    context_->TryCancel();
  }
}

void Agent::BeatLoop() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!AwaitBeat()) return;
      if (context_ == nullptr) continue;
    }
    v1::ClientMessage beat;
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

void Agent::Handle(v1::ServerMessage message) {
  if (const Status status = CheckServerMessage(message); !status.ok()) {
    return Refuse(message, status);
  }
  message.DiscardUnknownFields();  // what a newer server adds is not kept either
  switch (message.kind_case()) {
    case v1::ServerMessage::kCampaignOffer:
      return Answer(message.campaign_offer(), OkStatus());
    case v1::ServerMessage::kCampaignClosed: {
      const std::string& campaign = message.campaign_closed().campaign();
      if (!offers_->Close(campaign)) return;
      LogInfo("client", "campaign ended",
              {{"campaign", campaign}, {"state", message.campaign_closed().state()}});
      return runner_->CloseCampaign(campaign);
    }
    case v1::ServerMessage::kTask: {
      const auto offer = offers_->Find(message.task().campaign());
      if (!offer) return;  // not accepted: the offer comes first and again
      return runner_->Assign(*offer, message.task());
    }
    case v1::ServerMessage::kCancel:
      return runner_->Cancel(message.cancel().task(), message.cancel().reason());
    case v1::ServerMessage::kReportAck:
      return runner_->Acknowledge(message.report_ack());
    case v1::ServerMessage::kGoodbye:
      return log_limit_.Log("goodbye", LogLevel::kInfo, "client", "the server says goodbye",
                            {{"reason", message.goodbye().reason()}});
    default:
      return;
  }
}

// A server that is only newer than we are is told why, where the names are sound.
void Agent::Refuse(const v1::ServerMessage& message, const Status& reason) {
  const std::string cause = std::to_string(static_cast<int>(message.kind_case()));
  log_limit_.Log(cause, LogLevel::kError, "client", "a message of the server is refused",
                 {{"reason", reason}});
  if (message.has_task() && CheckTaskNames(message.task()).ok() &&
      offers_->Find(message.task().campaign())) {
    runner_->Refuse(message.task(), reason.message());
  }
  if (message.has_campaign_offer() && IsCampaignId(message.campaign_offer().campaign())) {
    Answer(message.campaign_offer(), reason);
  }
}

void Agent::Answer(const v1::CampaignOffer& offer, const Status& sound) {
  // Accepted before, and not any more: nothing of it goes on.
  if (offers_->Receive(offer, sound)) runner_->CloseCampaign(offer.campaign());
}

}  // namespace tributary::client
