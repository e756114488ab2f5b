#include "server/blob_transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>

#include "core/chunk_size.h"
#include "core/log.h"
#include "core/sha256.h"
#include "server/caller.h"

namespace tributary::server {
namespace {

// The calling code runs in gRPC's callbacks. Between a callback and the next StartRead no callback
// comes, so there is no lock; gRPC keeps the object until Finish was called and OnDone ran.
class UploadReactor final : public grpc::ServerReadReactor<v1::UploadRequest> {
 public:
  UploadReactor(TransferParts& parts, grpc::CallbackServerContext& context, security::Identity who,
                v1::UploadResponse* response)
      : parts_(parts), context_(context), who_(std::move(who)), response_(response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Complete();
    if (!receiver_) return ReadHeader();
    const std::string& data = request_.data();
    const Status status = receiver_->Append(std::as_bytes(std::span(data)));
    if (!status.ok()) return Refuse(status);
    moving_->Moved(data.size());
    StartRead(&request_);
  }

  void OnDone() override {
    moving_.reset();
    receiver_.reset();
    if (admitted_) parts_.uploads.Leave(who_.name);
    delete this;
  }

 private:
  void ReadHeader() {
    if (!request_.has_header()) {
      return Refuse(InvalidArgumentError("an upload starts with its header"));
    }
    header_ = request_.header();
    const auto digest = Digest::FromHex(header_.digest());
    if (!digest.ok()) return Refuse(digest.status());
    digest_ = *digest;
    if (header_.bytes() > parts_.max_upload_bytes) {
      // Not "exhausted": that passes, this does not.
      return Refuse(InvalidArgumentError("upload of " + std::to_string(header_.bytes()) +
                                         " bytes; the server's max_upload is " +
                                         std::to_string(parts_.max_upload_bytes)));
    }
    parts_.coordinator.AuthorizeBlob(who_, digest_, Coordinator::BlobUse::kWrite, header_.task(),
                                     [this](const Status& status) {
                                       if (!status.ok()) return Refuse(status);
                                       AwaitTurn();
                                     });
  }

  void AwaitTurn() {
    const Status status = parts_.uploads.Enter(who_.name, [this] {
      admitted_ = true;
      AwaitResumption();
    });
    if (!status.ok()) Refuse(status);
  }

  void AwaitResumption() {
    const Status status = parts_.resumption_gate.Enter(
        who_.name, [this] { parts_.resumptions.Submit([this] { Begin(); }); });
    if (!status.ok()) Refuse(status);
  }

  void Begin() {
    auto receiver = parts_.blobs.Receive(who_.name, digest_, header_.bytes(),
                                         [this] { return !context_.IsCancelled(); });
    parts_.resumption_gate.Leave(who_.name);
    if (!receiver.ok()) return Refuse(receiver.status());
    if ((*receiver)->offset() != header_.offset()) {
      return Refuse(AbortedError("upload starts at byte " + std::to_string(header_.offset()) +
                                 " but the server holds " + std::to_string((*receiver)->offset()) +
                                 "; ask UploadStatus"));
    }
    receiver_ = std::move(*receiver);
    moving_ = parts_.stalls.Watch(
        "upload from " + who_.name, [this] { return parts_.uploads.Contested(); },
        [this] { context_.TryCancel(); });
    StartSendInitialMetadata();  // the sender waits for it: its turn has come
    StartRead(&request_);
  }

  // The sender has said all, or the connection broke; the receiver knows which. What arrived stays
  // for a resumption.
  void Complete() {
    if (!receiver_) return Refuse(CancelledError("the upload ended before its header"));
    parts_.workers.Submit([this] {
      // Before it is there: nobody may begin a campaign with it in between.
      const bool is_new = !header_.task().empty() && !parts_.blobs.Has(digest_);
      if (is_new) parts_.coordinator.NoteSent(digest_, true);
      const Status status = receiver_->Finish();
      if (!status.ok()) {
        if (is_new) parts_.coordinator.NoteSent(digest_, false);
        return Refuse(status);
      }
      response_->set_bytes(header_.bytes());
      Finish(grpc::Status::OK);
    });
  }

  void Refuse(const Status& status) {
    parts_.log_limit.Log("upload " + who_.name, LogLevel::kWarning, "rpc", "upload ended",
                         {{"from", who_.name}, {"reason", status}});
    Finish(ToGrpc(status));
  }

  TransferParts& parts_;
  grpc::CallbackServerContext& context_;
  const security::Identity who_;
  v1::UploadResponse* response_;
  v1::UploadRequest request_;
  v1::UploadHeader header_;
  Digest digest_;
  std::unique_ptr<BlobReceiver> receiver_;
  std::unique_ptr<StallWatch::Transfer> moving_;
  bool admitted_ = false;
};

// Reads and writes may call back at the same time once Begin() ran; only their two ends meet, in
// HalfDone().
class DownloadReactor final : public grpc::ServerBidiReactor<v1::DownloadRequest, v1::Chunk> {
 public:
  DownloadReactor(TransferParts& parts, grpc::CallbackServerContext& context,
                  security::Identity who)
      : parts_(parts), context_(context), who_(std::move(who)) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (moving_) return HalfDone();  // the peer has all, or is gone, or says more than it should
    if (!ok) return Finish({grpc::StatusCode::CANCELLED, "the peer went away"});
    const auto digest = Digest::FromHex(request_.digest());
    if (!digest.ok()) return Finish(ToGrpc(digest.status()));
    parts_.coordinator.AuthorizeBlob(
        who_, *digest, Coordinator::BlobUse::kRead, "",
        [this, digest = *digest](const Status& status) {
          if (!status.ok()) {
            parts_.log_limit.Log("download " + who_.name, LogLevel::kWarning, "rpc",
                                 "download refused", {{"from", who_.name}, {"reason", status}});
            return Finish(ToGrpc(status));
          }
          AwaitTurn(digest);
        });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish({grpc::StatusCode::CANCELLED, "the peer went away"});
    moving_->Moved(chunk_.data().size());
    size_of_chunk_.Sent(chunk_.data().size(), std::chrono::steady_clock::now() - began_);
    Next();
  }

  void OnDone() override {
    moving_.reset();
    if (admitted_) parts_.downloads.Leave(who_.name);
    delete this;
  }

 private:
  void AwaitTurn(const Digest& digest) {
    const Status status = parts_.downloads.Enter(who_.name, [this, digest] {
      admitted_ = true;
      parts_.workers.Submit([this, digest] { Begin(digest); });
    });
    if (!status.ok()) Finish(ToGrpc(status));
  }

  void Begin(const Digest& digest) {
    digest_ = digest;
    const auto size = parts_.blobs.SizeOf(digest);
    if (size.status().code() == StatusCode::kNotFound) return Gone();
    if (!size.ok()) return Finish(ToGrpc(size.status()));
    size_ = *size;
    offset_ = request_.offset();
    if (offset_ == 0) hash_.emplace();
    auto file = OpenFile(parts_.blobs.PathOf(digest), O_RDONLY);
    if (!file.ok()) return Finish(ToGrpc(file.status()));
    file_ = *std::move(file);
    moving_ = parts_.stalls.Watch(
        "download by " + who_.name, [this] { return parts_.downloads.Contested(); },
        [this] { context_.TryCancel(); });
    StartRead(&request_);
    began_ = std::chrono::steady_clock::now();
    Next();
  }

  void Next() {
    if (offset_ >= size_) return AllRead();
    std::string* data = chunk_.mutable_data();
    data->resize(std::min<std::uint64_t>(size_of_chunk_.bytes(), size_ - offset_));
    const ssize_t got = pread(file_.get(), data->data(), data->size(), static_cast<off_t>(offset_));
    if (got == 0) return Damaged("is shorter on the server's disk than it was");
    if (got < 0) {  // which may pass: the file stays where it is
      const Status error = ErrnoError("read blob " + digest_.ToHex(), errno);
      return Finish(ToGrpc(DataLossError(error.message())));
    }
    data->resize(static_cast<std::size_t>(got));
    if (hash_) hash_->Update(*data);
    offset_ += static_cast<std::uint64_t>(got);
    StartWrite(&chunk_);
  }

  // The bytes pass here anyway. Who has them hashes them too, and asks again.
  void AllRead() {
    if (hash_ && hash_->Finish() != digest_) return Damaged("is damaged on the server's disk");
    if (hash_) parts_.coordinator.NoteWhole(digest_);
    HalfDone();
  }

  // Perhaps in good order: what is not kept any more was removed while the peer waited.
  void Gone() {
    parts_.coordinator.NoteGone(digest_);
    Finish(ToGrpc(NotFoundError("blob " + digest_.ToHex() + " is not on the server's disk")));
  }

  void Damaged(const char* how) {
    parts_.coordinator.NoteDamaged(digest_, how);
    Finish(ToGrpc(DataLossError("blob " + digest_.ToHex() + " " + how)));
  }

  void HalfDone() {
    if (halves_left_.fetch_sub(1) == 1) Finish(grpc::Status::OK);
  }

  TransferParts& parts_;
  grpc::CallbackServerContext& context_;
  const security::Identity who_;
  v1::DownloadRequest request_;
  Digest digest_;
  std::optional<Sha256> hash_;  // of a download from the first byte
  std::uint64_t offset_ = 0;
  std::uint64_t size_ = 0;
  FileDescriptor file_;
  v1::Chunk chunk_;
  ChunkSize size_of_chunk_;
  std::chrono::steady_clock::time_point began_;
  std::unique_ptr<StallWatch::Transfer> moving_;
  std::atomic<int> halves_left_{2};
  bool admitted_ = false;
};

}  // namespace

grpc::ServerReadReactor<v1::UploadRequest>* StartUpload(TransferParts& parts,
                                                        grpc::CallbackServerContext& context,
                                                        const security::Identity& who,
                                                        v1::UploadResponse* response) {
  return new UploadReactor(parts, context, who, response);
}

grpc::ServerBidiReactor<v1::DownloadRequest, v1::Chunk>* StartDownload(
    TransferParts& parts, grpc::CallbackServerContext& context, const security::Identity& who) {
  return new DownloadReactor(parts, context, who);
}

}  // namespace tributary::server
