#include "server/federation_service.h"

#include "core/log.h"
#include "core/text.h"
#include "core/version.h"
#include "security/grpc_credentials.h"
#include "server/caller.h"
#include "server/stream_writer.h"

namespace tributary::server {
namespace {

using security::Role;
using Reactor = grpc::ServerBidiReactor<v1::ClientMessage, v1::ServerMessage>;

constexpr std::size_t kMaxQueued = 10'000;  // a site that does not read is cut off
constexpr int kSilentHeartbeats = 3;        // then a daemon counts as gone; as clients count

class Outbox final : public SiteStream {
 public:
  explicit Outbox(Reactor* reactor) : writer_(reactor, kMaxQueued) {}

  void Send(v1::ServerMessage message) override { writer_.Write(std::move(message)); }
  void Close(const std::string& reason) override {
    v1::ServerMessage goodbye;
    goodbye.mutable_goodbye()->set_reason(reason);
    writer_.Write(std::move(goodbye));
    writer_.EndAfterQueue(OkStatus());
  }
  void WriteDone(bool ok) { writer_.WriteDone(ok); }
  void Finish(const Status& status) { writer_.End(status); }

 private:
  StreamWriter<Reactor, v1::ServerMessage> writer_;
};

// What the streams of all sites share. Borrowed.
struct StreamParts {
  Coordinator& coordinator;
  const Clock& clock;
  const std::chrono::seconds heartbeat;
  MessageRates& rates;
  LogLimit& log_limit;
};

// One site's stream. Reads are sequential: OnReadDone never runs twice at once.
class SiteReactor final : public Reactor {
 public:
  SiteReactor(const StreamParts& parts, std::string site, std::string certificate_pem)
      : parts_(parts),
        site_(std::move(site)),
        certificate_pem_(std::move(certificate_pem)),
        outbox_(std::make_shared<Outbox>(this)) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return outbox_->Finish(OkStatus());
    const auto at = std::chrono::steady_clock::now();
    if (welcomed_) {
      Hear(at);
    } else if (const Status status = Welcome(at); !status.ok()) {
      Warn("site turned away", status);
      return outbox_->Finish(status);
    }
    message_.Clear();
    StartRead(&message_);
  }
  void OnWriteDone(bool ok) override { outbox_->WriteDone(ok); }
  void OnCancel() override { outbox_->Finish(CancelledError("the stream was cancelled")); }
  void OnDone() override {
    if (welcomed_) {
      parts_.coordinator.sessions().Remove(site_, outbox_.get(), parts_.clock.Now());
      LogInfo("rpc", "site disconnected", {{"site", site_}});
    }
    delete this;
  }

 private:
  // Whatever was said, the site is there. What was said is used only when it is sound.
  void Hear(Sessions::Monotonic at) {
    parts_.coordinator.sessions().Touch(site_, outbox_.get(), parts_.clock.Now(), at);
    Status status = CheckClientMessage(&message_);
    if (status.ok() && !parts_.rates.Admit(site_, message_.kind_case(), at)) {
      status = ResourceExhaustedError("too many messages of this kind");
    }
    if (!status.ok()) return Warn("message of a site dropped", status);
    parts_.coordinator.HandleMessage(site_, certificate_pem_, std::move(message_));
  }

  // A site can cause these lines as often as it likes.
  void Warn(std::string_view what, const Status& reason) {
    const std::string cause = site_ + " " + std::to_string(message_.kind_case()) +
                              std::string(StatusCodeName(reason.code()));
    parts_.log_limit.Log(cause, LogLevel::kWarning, "rpc", what,
                         {{"site", site_}, {"reason", reason}});
  }

  Status Welcome(Sessions::Monotonic at) {
    if (!message_.has_hello()) return InvalidArgumentError("the first message must be hello");
    TRIBUTARY_RETURN_IF_ERROR(CheckClientMessage(&message_));
    if (!parts_.rates.Admit(site_, message_.kind_case(), at)) {
      return ResourceExhaustedError("site " + site_ + " connects too often; wait for a minute");
    }
    const v1::Hello& hello = message_.hello();
    const std::uint32_t chosen = std::min(hello.protocol_max(), kProtocolMax);
    if (chosen < hello.protocol_min() || chosen < kProtocolMin) {
      return FailedPreconditionError(
          "client speaks protocol " + std::to_string(hello.protocol_min()) + ".." +
          std::to_string(hello.protocol_max()) + ", server " + std::to_string(kProtocolMin) + ".." +
          std::to_string(kProtocolMax) + "; upgrade the older one");
    }
    const Daemon daemon{hello.instance(), hello.host(), hello.client_version(),
                        kSilentHeartbeats * parts_.heartbeat,
                        std::chrono::seconds(hello.visit_seconds())};
    TRIBUTARY_RETURN_IF_ERROR(
        parts_.coordinator.sessions().Add(site_, outbox_, daemon, parts_.clock.Now(), at));
    welcomed_ = true;
    LogInfo("rpc", "site connected",
            {{"site", site_}, {"client_version", daemon.client_version}, {"host", daemon.host}});
    v1::ServerMessage message;
    message.mutable_welcome()->set_protocol(chosen);
    message.mutable_welcome()->set_server_version(kVersion);
    message.mutable_welcome()->set_heartbeat_seconds(
        static_cast<std::uint32_t>(parts_.heartbeat.count()));
    outbox_->Send(std::move(message));
    parts_.coordinator.SiteConnected(site_, {hello.tasks().begin(), hello.tasks().end()});
    return OkStatus();
  }

  const StreamParts parts_;
  const std::string site_;
  const std::string certificate_pem_;
  const std::shared_ptr<Outbox> outbox_;
  v1::ClientMessage message_;
  bool welcomed_ = false;
};

}  // namespace

Reactor* FederationService::Connect(grpc::CallbackServerContext* context) {
  const auto who = Authorize(*context, federation_, "Connect", {Role::kSite});
  if (!who.ok()) return new Refused<Reactor>(who.status());
  auto certificate = security::PeerCertificatePem(*context->auth_context());
  if (!certificate.ok()) return new Refused<Reactor>(certificate.status());
  return new SiteReactor({parts_.coordinator, clock_, heartbeat_, rates_, log_limit_}, who->name,
                         *std::move(certificate));
}

grpc::ServerBidiReactor<v1::DownloadRequest, v1::Chunk>* FederationService::Download(
    grpc::CallbackServerContext* context) {
  const auto who =
      Authorize(*context, federation_, "Download", {Role::kSite, Role::kLead, Role::kAdmin});
  if (!who.ok()) {
    return new Refused<grpc::ServerBidiReactor<v1::DownloadRequest, v1::Chunk>>(who.status());
  }
  return StartDownload(parts_, *context, *who);
}

grpc::ServerUnaryReactor* FederationService::UploadStatus(grpc::CallbackServerContext* context,
                                                          const v1::UploadStatusRequest* request,
                                                          v1::UploadStatusResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto who =
      Authorize(*context, federation_, "UploadStatus", {Role::kSite, Role::kLead, Role::kAdmin});
  const auto digest = Digest::FromHex(request->digest());
  if (!who.ok() || !digest.ok()) {
    reactor->Finish(ToGrpc(who.ok() ? digest.status() : who.status()));
    return reactor;
  }
  response->set_offset(parts_.blobs.ResumeOffset(who->name, *digest));
  response->set_complete(parts_.blobs.Has(*digest));
  response->set_server_time_us(ToMicros(clock_.Now()));
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerReadReactor<v1::UploadRequest>* FederationService::Upload(
    grpc::CallbackServerContext* context, v1::UploadResponse* response) {
  const auto who =
      Authorize(*context, federation_, "Upload", {Role::kSite, Role::kLead, Role::kAdmin});
  if (!who.ok()) return new Refused<grpc::ServerReadReactor<v1::UploadRequest>>(who.status());
  return StartUpload(parts_, *context, *who, response);
}

}  // namespace tributary::server
