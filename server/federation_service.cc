#include "server/federation_service.h"

#include <deque>

#include "core/log.h"
#include "core/text.h"
#include "core/version.h"
#include "security/grpc_credentials.h"
#include "server/caller.h"

namespace tributary::server {
namespace {

using security::Role;
using Reactor = grpc::ServerBidiReactor<v1::ClientMessage, v1::ServerMessage>;

constexpr std::size_t kMaxQueued = 10'000;  // a site that does not read is cut off

// A reactor for a call that is over before it began.
template <class Base>
class Refused final : public Base {
 public:
  explicit Refused(const Status& status) { this->Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

// The writing half of a stream; outlives the reactor where somebody still holds it.
class Outbox final : public SiteStream {
 public:
  explicit Outbox(Reactor* reactor) : reactor_(reactor) {}

  void Send(v1::ServerMessage message) override {
    MutexLock lock(mutex_);
    if (reactor_ == nullptr || closing_) return;
    if (queue_.size() >= kMaxQueued) return FinishLocked(ResourceExhaustedError("too slow"));
    queue_.push_back(std::move(message));
    WriteNextLocked();
  }

  void Close(const std::string& reason) override {
    MutexLock lock(mutex_);
    if (reactor_ == nullptr || closing_) return;
    v1::ServerMessage goodbye;
    goodbye.mutable_goodbye()->set_reason(reason);
    queue_.push_back(std::move(goodbye));
    closing_ = true;
    WriteNextLocked();
  }

  void WriteDone(bool ok) {
    MutexLock lock(mutex_);
    writing_ = false;
    if (!queue_.empty()) queue_.pop_front();
    if (!ok) return FinishLocked(CancelledError("the stream broke"));
    WriteNextLocked();
  }

  void Finish(const Status& status) {
    MutexLock lock(mutex_);
    FinishLocked(status);
  }

 private:
  void WriteNextLocked() TRIBUTARY_REQUIRES(mutex_) {
    if (writing_ || reactor_ == nullptr) return;
    if (!queue_.empty()) {
      writing_ = true;
      reactor_->StartWrite(&queue_.front());  // a deque keeps the front in place
    } else if (closing_) {
      FinishLocked(OkStatus());
    }
  }
  // Once: afterwards the reactor is not touched any more.
  void FinishLocked(const Status& status) TRIBUTARY_REQUIRES(mutex_) {
    if (reactor_ == nullptr) return;
    std::exchange(reactor_, nullptr)->Finish(ToGrpc(status));
  }

  Mutex mutex_;
  Reactor* reactor_ TRIBUTARY_GUARDED_BY(mutex_);
  std::deque<v1::ServerMessage> queue_ TRIBUTARY_GUARDED_BY(mutex_);
  bool writing_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  bool closing_ TRIBUTARY_GUARDED_BY(mutex_) = false;
};

// One site's stream. Reads are sequential: OnReadDone never runs twice at once.
class SiteReactor final : public Reactor {
 public:
  SiteReactor(Coordinator& coordinator, const Clock& clock, std::chrono::seconds heartbeat,
              std::string site, std::string certificate_pem)
      : coordinator_(coordinator),
        clock_(clock),
        heartbeat_(heartbeat),
        site_(std::move(site)),
        certificate_pem_(std::move(certificate_pem)),
        outbox_(std::make_shared<Outbox>(this)) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return outbox_->Finish(OkStatus());
    if (!welcomed_) {
      if (const Status status = Welcome(); !status.ok()) {
        LogWarning("rpc", "site turned away", {{"site", site_}, {"reason", status}});
        return outbox_->Finish(status);
      }
    } else {
      coordinator_.HandleMessage(site_, certificate_pem_, std::move(message_));
    }
    message_.Clear();
    StartRead(&message_);
  }
  void OnWriteDone(bool ok) override { outbox_->WriteDone(ok); }
  void OnCancel() override { outbox_->Finish(CancelledError("the stream was cancelled")); }
  void OnDone() override {
    if (welcomed_) {
      coordinator_.sessions().Remove(site_, outbox_.get(), clock_.Now());
      LogInfo("rpc", "site disconnected", {{"site", site_}});
    }
    delete this;
  }

 private:
  Status Welcome() {
    if (!message_.has_hello()) return InvalidArgumentError("the first message must be hello");
    const v1::Hello& hello = message_.hello();
    const std::uint32_t chosen = std::min(hello.protocol_max(), kProtocolMax);
    if (chosen < hello.protocol_min() || chosen < kProtocolMin) {
      return FailedPreconditionError(
          "client speaks protocol " + std::to_string(hello.protocol_min()) + ".." +
          std::to_string(hello.protocol_max()) + ", server " + std::to_string(kProtocolMin) + ".." +
          std::to_string(kProtocolMax) + "; upgrade the older one");
    }
    welcomed_ = true;
    const std::string version = Excerpt(hello.client_version(), 64);
    coordinator_.sessions().Add(site_, outbox_, version, clock_.Now());
    LogInfo("rpc", "site connected", {{"site", site_}, {"client_version", version}});
    v1::ServerMessage message;
    message.mutable_welcome()->set_protocol(chosen);
    message.mutable_welcome()->set_server_version(kVersion);
    message.mutable_welcome()->set_heartbeat_seconds(
        static_cast<std::uint32_t>(heartbeat_.count()));
    outbox_->Send(std::move(message));
    coordinator_.SiteConnected(site_, {hello.tasks().begin(), hello.tasks().end()});
    return OkStatus();
  }

  Coordinator& coordinator_;
  const Clock& clock_;
  const std::chrono::seconds heartbeat_;
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
  return new SiteReactor(parts_.coordinator, clock_, heartbeat_, who->name,
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
