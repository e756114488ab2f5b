#include "server/rpc_server.h"

#include <grpcpp/grpcpp.h>

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "core/files.h"
#include "core/log.h"
#include "core/version.h"
#include "security/grpc_credentials.h"
#include "security/key_file.h"
#include "server/control_service.h"
#include "server/disk_sweep.h"
#include "server/enrollment_service.h"
#include "server/federation_service.h"
#include "server/listener_watch.h"
#include "server/start_check.h"

namespace tributary::server {
namespace {

constexpr std::chrono::seconds kDrain{10};
constexpr int kMaxMessageBytes = 4 << 20;
// Flow control windows are set here instead of probed: probing lets buffers grow with each
// uploading stream.
constexpr int kStreamWindowBytes = 4 << 20;
constexpr int kFrameBytes = 1 << 20;  // without probing it would stay at 16 KiB
constexpr std::size_t kTransportBytes = std::size_t{96} << 20;
// A transfer slower than this has stalled; while others wait, it must be faster. It resumes where
// it was.
constexpr std::chrono::minutes kStallPeriod{1};
constexpr std::uint64_t kStallBytes = std::uint64_t{64} << 10;
constexpr std::uint64_t kFairBytes = std::uint64_t{3} << 20;
// From a connection to its certificate. Strangers hold no connection for longer.
constexpr int kHandshakeMilliseconds = 10'000;
constexpr int kIdleMilliseconds = 120'000;  // without a call; a site always has its stream
constexpr int kMostStreams = 512;           // of one connection
constexpr std::chrono::hours kSweepInterval{1};
constexpr std::chrono::seconds kListenerLook{2};
constexpr std::chrono::seconds kListenerPatience{8};

struct KeyMaterial {
  security::CertificateAuthority authority;
  security::CertificateAndKey server;
  std::string ca_fingerprint;
};

Result<KeyMaterial> LoadKeys(const TlsSection& tls) {
  TRIBUTARY_ASSIGN_OR_RETURN(std::string ca, security::ReadCertificateFile(tls.ca));
  TRIBUTARY_ASSIGN_OR_RETURN(auto ca_key, security::ReadKeyFile(tls.ca_key));
  TRIBUTARY_ASSIGN_OR_RETURN(std::string certificate,
                             security::ReadCertificateFile(tls.certificate));
  TRIBUTARY_ASSIGN_OR_RETURN(auto key, security::ReadKeyFile(tls.key));
  TRIBUTARY_RETURN_IF_ERROR(security::CheckKeyMatches(ca, ca_key).Annotate(tls.ca_key));
  TRIBUTARY_RETURN_IF_ERROR(security::CheckKeyMatches(certificate, key).Annotate(tls.key));
  TRIBUTARY_ASSIGN_OR_RETURN(std::string fingerprint,
                             security::CertificateFingerprint(ca).Annotate(tls.ca));
  return KeyMaterial{{std::move(ca), std::move(ca_key)},
                     {std::move(certificate), std::move(key)},
                     std::move(fingerprint)};
}

Status CheckDataDirectory(const std::string& path, const EngineRunner& runner,
                          const BlobStore& blobs, TokenStore& tokens) {
  DataDirectory directory{path};
  TRIBUTARY_ASSIGN_OR_RETURN(directory.blobs, blobs.Count());
  TRIBUTARY_ASSIGN_OR_RETURN(directory.joined, tokens.JoinedSites());
  TRIBUTARY_RETURN_IF_ERROR(CheckNotEmptied(runner.recovered_state(), directory));
  for (const std::string& site : UnknownSites(runner.recovered_state(), directory)) {
    LogWarning("server", "a site joined here, but the journal does not know it",
               {{"site", site}, {"data_dir", path}});
  }
  return OkStatus();
}

void SetTransportOptions(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameBytes);
  // Half-open connections are found within a minute; clients may ping as often as they like while
  // they have a stream.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMilliseconds);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMilliseconds);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
  // Two servers on one port would split the sites between them.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

// Heavy work by kind: none waits for another kind. What peers order is bounded and refused.
struct Lanes {
  explicit Lanes(int check_threads) : checks(check_threads, "checks") {}
  WorkerPool enrollment{1, "enrollments", 64};
  WorkerPool control{2, "commands", 256};
  WorkerPool transfers{2, "transfers"};      // bounded by their gates
  WorkerPool resumptions{2, "resumptions"};  // likewise
  WorkerPool checks;                         // one for each open task
  WorkerPool folds{2, "folds"};              // one for each campaign
  WorkerPool readers{1, "readers"};          // of past rounds: so many at once as its user bounds
};

// Members in order of construction; destroyed in reverse.
struct RpcServer::Parts {
  Parts(BlobStore store, const ServerConfig& config)
      : blobs(std::move(store)),
        upload_gate(static_cast<int>(config.max_concurrent_uploads)),
        download_gate(static_cast<int>(config.max_concurrent_uploads)) {
    lanes = std::make_unique<Lanes>(static_cast<int>(config.worker_threads));
    coordinator = std::make_unique<Coordinator>(
        clock, blobs, Coordinator::Lanes{lanes->checks, lanes->folds, lanes->readers},
        Coordinator::Limits{static_cast<unsigned>(config.fold_threads), config.Keep()});
  }

  // Also when a start fails half-way: nothing may run that uses what goes first.
  ~Parts() {
    listener.reset();
    sweep.reset();
    grpc.reset();
    if (runner) runner->Stop();
    lanes.reset();
  }

  SystemClock clock;
  BlobStore blobs;
  AdmissionGate upload_gate;
  AdmissionGate download_gate;
  AdmissionGate resumption_gate{2};  // as many as its lane has threads: one for each owner
  LogLimit transfer_log;
  StallWatch stalls{kStallPeriod, kStallBytes, kFairBytes};
  std::unique_ptr<Lanes> lanes;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<EngineRunner> runner;
  std::unique_ptr<TokenStore> tokens;
  std::unique_ptr<TransferParts> transfers;
  std::unique_ptr<FederationService> federation;
  std::unique_ptr<EnrollmentService> enrollment;
  std::unique_ptr<ControlService> control;
  std::unique_ptr<grpc::Server> grpc;
  std::unique_ptr<Periodic> sweep;
  std::unique_ptr<ListenerWatch> listener;
  std::atomic<bool> dead = false;  // nobody reaches it any more
  int port = 0;
};

RpcServer::RpcServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
int RpcServer::port() const { return parts_->port; }

Status RpcServer::health() const {
  if (!parts_->dead) return OkStatus();
  return UnavailableError("port " + std::to_string(parts_->port) +
                          " accepts no connections any more; the server must start again");
}

Result<std::unique_ptr<RpcServer>> RpcServer::Start(const ServerConfig& config) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(config.data_dir).Annotate("data_dir"));
  if (const std::string network = NetworkFilesystemOf(config.data_dir); !network.empty()) {
    LogWarning("server", "data_dir is on a network file system; SQLite needs a local disk",
               {{"data_dir", config.data_dir}, {"file_system", network}});
  }
  TRIBUTARY_ASSIGN_OR_RETURN(KeyMaterial keys, LoadKeys(config.tls));
  TRIBUTARY_ASSIGN_OR_RETURN(BlobStore blobs, BlobStore::Open(config.data_dir));
  auto parts = std::make_unique<Parts>(std::move(blobs), config);

  // The campaign engine, as the journal left it.
  TRIBUTARY_ASSIGN_OR_RETURN(
      parts->runner, EngineRunner::Open(JoinPath(config.data_dir, "journal.db"), parts->clock,
                                        *parts->coordinator));
  parts->coordinator->SetRunner(parts->runner.get());
  TRIBUTARY_ASSIGN_OR_RETURN(parts->tokens,
                             TokenStore::Open(JoinPath(config.data_dir, "enrollment.db")));
  TRIBUTARY_RETURN_IF_ERROR(CheckDataDirectory(config.data_dir, *parts->runner, parts->blobs,
                                               *parts->tokens));  // before anything is removed
  parts->coordinator->LoadManifests(parts->runner->recovered_state());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::size_t swept,
                             parts->blobs.RemoveUnreferenced(
                                 ReferencedBlobs(parts->runner->recovered_state(), config.Keep())));
  const SweepRules rules;
  TRIBUTARY_RETURN_IF_ERROR(parts->blobs.RemoveStale(rules.parts, rules.quarantine));
  LogInfo("server", "journal replayed",
          {{"campaigns", parts->runner->recovered_state().campaigns.size()},
           {"sites", parts->runner->recovered_state().sites.size()},
           {"unreferenced_blobs_removed", swept}});

  // The services.
  parts->transfers = std::make_unique<TransferParts>(TransferParts{
      *parts->coordinator, parts->blobs, parts->lanes->transfers, parts->lanes->resumptions,
      parts->resumption_gate, parts->upload_gate, parts->download_gate, parts->stalls,
      parts->transfer_log, config.max_upload.bytes});
  parts->federation = std::make_unique<FederationService>(config.federation, config.heartbeat,
                                                          parts->clock, *parts->transfers);
  parts->enrollment = std::make_unique<EnrollmentService>(
      config.federation, keys.authority, config.member_certificate_lifetime, parts->clock,
      *parts->tokens, *parts->runner, parts->lanes->enrollment);
  parts->control = std::make_unique<ControlService>(ControlParts{
      config.federation, config.advertise, keys.ca_fingerprint, parts->clock, *parts->runner,
      *parts->coordinator, parts->blobs, parts->lanes->control, *parts->tokens});

  // The one port.
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto credentials,
      security::MakeServerCredentials(keys.authority.certificate_pem, keys.server));
  grpc::ServerBuilder builder;
  // Under pressure gRPC gives back the read buffers of connections that are quiet.
  grpc::ResourceQuota quota("transport");
  quota.Resize(kTransportBytes);
  builder.SetResourceQuota(quota);
  SetTransportOptions(&builder);
  builder.AddListeningPort(config.listen, credentials, &parts->port);
  builder.RegisterService(parts->federation.get());
  builder.RegisterService(parts->enrollment.get());
  builder.RegisterService(parts->control.get());
  parts->grpc = builder.BuildAndStart();
  if (!parts->grpc || parts->port == 0) {
    return UnavailableError("listen: cannot open " + config.listen +
                            "; is another process using the port?");
  }
  // Last: folds that it begins would be cut short by a start that fails. Calls wait for it.
  parts->runner->Start();
  parts->sweep = std::make_unique<Periodic>(
      kSweepInterval, [p = parts.get()] { SweepDisk(p->blobs, *p->runner, *p->coordinator); });
  parts->listener = std::make_unique<ListenerWatch>(
      parts->port, kListenerLook, kListenerPatience, [p = parts.get()] {
        p->dead = true;
        kill(getpid(), SIGTERM);  // the way out that there is
      });
  LogInfo("server", "serving",
          {{"federation", config.federation}, {"port", parts->port}, {"version", kVersion}});
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(parts)));
}

RpcServer::~RpcServer() {
  LogInfo("server", "draining");
  parts_->listener.reset();
  parts_->sweep.reset();
  parts_->coordinator->history().Stop();
  parts_->coordinator->sessions().CloseAll("the server is shutting down");
  parts_->grpc->Shutdown(std::chrono::system_clock::now() + kDrain);
  parts_->coordinator->NoteStop();
  parts_->runner->Stop();
  // Nobody hears of a fold or a check that ends now: it is done again after the restart.
  parts_->lanes->folds.DropQueued();
  parts_->lanes->checks.DropQueued();
  parts_->lanes.reset();
  LogInfo("server", "stopped");
}

}  // namespace tributary::server
