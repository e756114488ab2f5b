#include "client/transfer.h"

#include <fcntl.h>
#include <grpcpp/client_context.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

#include "client/backoff.h"
#include "core/chunk_size.h"
#include "core/files.h"
#include "core/log.h"

namespace tributary::client {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kSlice{50};  // between two looks at keep_going
// What an earlier command left half-way may be of another blob, and is damaged once.
constexpr int kLossesThatPass = 1;

Status FromGrpc(const grpc::Status& status) {
  return {static_cast<StatusCode>(status.error_code()), status.error_message()};
}

bool IsForPeople(const Status& status) {
  return status.code() == StatusCode::kResourceExhausted || status.code() == StatusCode::kNotFound;
}

}  // namespace

// A full disk is emptied by somebody; what arrived damaged is fetched again.
Transfer::Try::Try(Status local) : status(std::move(local)) {
  if (status.ok()) return;
  const bool passes =
      status.code() == StatusCode::kResourceExhausted || status.code() == StatusCode::kDataLoss;
  verdict = passes ? Verdict::kTransient : Verdict::kRefused;
}

Transfer::Try::Try(Call call, const grpc::Status& answer)
    : status(FromGrpc(answer)), verdict(VerdictOn(call, status.code())) {}

class Transfer::Context {
 public:
  explicit Context(const Transfer& transfer) : transfer_(transfer) {
    MutexLock lock(transfer_.mutex_);
    transfer_.calls_.insert(&context_);
    if (transfer_.cancelled_) context_.TryCancel();
  }
  ~Context() {
    MutexLock lock(transfer_.mutex_);
    transfer_.calls_.erase(&context_);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  grpc::ClientContext* get() { return &context_; }

 private:
  const Transfer& transfer_;
  grpc::ClientContext context_;
};

void Transfer::CancelCalls() const {
  MutexLock lock(mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : calls_) context->TryCancel();
}

bool Transfer::Cancelled() const {
  MutexLock lock(mutex_);
  return cancelled_;
}

// A channel makes progress only while somebody waits on it, so waiting for the connection comes
// first: a call on a channel that is not connected fails at once.
Status Transfer::Retry(const char* what, const KeepGoing& keep_going,
                       const std::function<Try()>& once) const {
  Backoff backoff(std::chrono::milliseconds(200), std::chrono::seconds(30));
  const auto go_on = [&] { return keep_going() && !Cancelled(); };
  int losses = 0;
  while (true) {
    while (go_on() && !channel_->WaitForConnected(std::chrono::system_clock::now() + kSlice)) {
    }
    if (!go_on()) return CancelledError(std::string(what) + " was given up");
    const Try tried = once();
    if (tried.verdict != Verdict::kTransient) return tried.status;
    losses += tried.status.code() == StatusCode::kDataLoss ? 1 : 0;
    const bool lost = losses > kLossesThatPass;
    if (patience_ == Patience::kPerson && (lost || IsForPeople(tried.status))) return tried.status;
    LogWarning("client", "transfer interrupted; will resume",
               {{"what", what}, {"reason", tried.status}});
    const auto until = std::chrono::steady_clock::now() + backoff.Next();
    while (go_on() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(kSlice);
    }
  }
}

Status Transfer::Download(const Digest& digest, std::uint64_t bytes, const std::string& path,
                          const KeepGoing& keep_going) const {
  const std::string part = path + ".part";
  TRIBUTARY_RETURN_IF_ERROR(
      Retry("download", keep_going, [&] { return DownloadOnce(digest, bytes, part, keep_going); }));
  if (rename(part.c_str(), path.c_str()) != 0) return ErrnoError("rename " + part, errno);
  return OkStatus();
}

Transfer::Try Transfer::DownloadOnce(const Digest& digest, std::uint64_t bytes,
                                     const std::string& part, const KeepGoing& keep_going) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(part, O_RDWR | O_CREAT));
  TRIBUTARY_ASSIGN_OR_RETURN(std::uint64_t offset, FileSize(part));
  Sha256 hash;
  std::vector<char> buffer(kReadBytes);
  for (std::uint64_t at = 0; at < offset;) {  // what an earlier try left
    const ssize_t got = pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got <= 0) return ErrnoError("read " + part, got < 0 ? errno : EIO);
    hash.Update(buffer.data(), static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
  }
  Context context(*this);
  v1::DownloadRequest request;
  request.set_digest(digest.ToHex());
  request.set_offset(offset);
  const auto stream = stub_->Download(context.get());
  stream->Write(request);
  v1::Chunk chunk;
  Status status;
  while (status.ok() && offset < bytes && stream->Read(&chunk)) {
    const std::string& data = chunk.data();
    if (data.size() > bytes - std::min(bytes, offset))
      status = DataLossError("more bytes than announced");
    if (status.ok()) {
      status = WriteAll(file.get(), data.data(), data.size(), static_cast<std::int64_t>(offset))
                   .Annotate(part);
    }
    hash.Update(data);
    offset += data.size();
    if (!keep_going()) status = CancelledError("download was given up");
  }
  if (!status.ok()) context.get()->TryCancel();
  stream->WritesDone();  // all is here: the next may have this place
  while (stream->Read(&chunk)) status = DataLossError("more bytes than announced");
  const grpc::Status finished = stream->Finish();
  if (!status.ok()) return status;
  if (!finished.ok()) return {Call::kDownload, finished};
  if (fdatasync(file.get()) != 0) return ErrnoError("fdatasync " + part, errno);
  if (offset != bytes || hash.Finish() != digest) {
    TRIBUTARY_RETURN_IF_ERROR(RemoveFile(part));
    return DataLossError("blob " + digest.ToHex() + " arrived damaged; it is fetched again");
  }
  return Status();
}

Status Transfer::Upload(const std::string& path, const Digest& digest, std::uint64_t bytes,
                        const std::string& task, const KeepGoing& keep_going) const {
  return Retry("upload", keep_going,
               [&] { return UploadOnce(path, digest, bytes, task, keep_going); });
}

Transfer::Try Transfer::UploadOnce(const std::string& path, const Digest& digest,
                                   std::uint64_t bytes, const std::string& task,
                                   const KeepGoing& keep_going) const {
  v1::UploadStatusRequest question;
  question.set_digest(digest.ToHex());
  v1::UploadStatusResponse held;
  {
    Context context(*this);
    const grpc::Status status = stub_->UploadStatus(context.get(), question, &held);
    if (!status.ok()) return {Call::kUploadStatus, status};
  }
  if (held.complete()) return Status();
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(path, O_RDONLY));
  Context context(*this);
  v1::UploadResponse response;
  const auto writer = stub_->Upload(context.get(), &response);
  v1::UploadRequest request;
  request.mutable_header()->set_digest(digest.ToHex());
  request.mutable_header()->set_bytes(bytes);
  request.mutable_header()->set_offset(held.offset());
  request.mutable_header()->set_task(task);
  bool open = writer->Write(request);
  // The server answers when it is this upload's turn; until then nothing fills its buffers.
  if (open) writer->WaitForInitialMetadata();
  Status status;
  ChunkSize chunk;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t at = held.offset(); open && status.ok() && at < bytes;) {
    std::string* data = request.mutable_data();
    data->resize(std::min<std::uint64_t>(chunk.bytes(), bytes - at));
    const ssize_t got = pread(file.get(), data->data(), data->size(), static_cast<off_t>(at));
    if (got <= 0) status = ErrnoError("read " + path, got < 0 ? errno : EIO);
    if (status.ok() && !keep_going()) status = CancelledError("upload was given up");
    if (!status.ok()) break;
    data->resize(static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
    open = writer->Write(request);
    chunk.Sent(data->size(), std::chrono::steady_clock::now() - begin);
  }
  if (!status.ok()) context.get()->TryCancel();
  writer->WritesDone();
  const grpc::Status finished = writer->Finish();
  if (!status.ok()) return status;
  return {Call::kUpload, finished};
}

}  // namespace tributary::client
