// Moves blobs: resumable, verified, and patient with what passes (client/call_verdict.h).
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "client/call_verdict.h"
#include "core/mutex.h"
#include "core/sha256.h"
#include "core/status.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::client {

// Whether to go on; asked between chunks and before each try.
using KeepGoing = std::function<bool()>;

// Who waits: a person wants to hear of a full disk, or of a blob that is not there or damaged time
// and again; a daemon waits for somebody to mend it.
enum class Patience : std::uint8_t { kPerson, kDaemon };

// Thread-safe.
class Transfer {
 public:
  explicit Transfer(std::shared_ptr<grpc::Channel> channel, Patience patience = Patience::kPerson)
      : channel_(std::move(channel)),
        stub_(v1::Federation::NewStub(channel_)),
        patience_(patience) {}

  // Writes the blob to `path`. A partial file (`path`.part) of an earlier try is continued. Retries
  // what is transient; any other refusal is final. Cancelled when `keep_going` says no.
  Status Download(const Digest& digest, std::uint64_t bytes, const std::string& path,
                  const KeepGoing& keep_going) const;

  // Sends what the server does not hold yet. Retries likewise.
  Status Upload(const std::string& path, const Digest& digest, std::uint64_t bytes,
                const std::string& task, const KeepGoing& keep_going) const;

  // Ends the calls under way and all later ones: they return soon. For a caller that stops.
  void CancelCalls() const;

 private:
  struct Try {  // one that ended
    Status status;
    Verdict verdict = Verdict::kDone;
    Try(Status local);  // NOLINT(google-explicit-constructor): trouble at this end
    Try(Call call, const grpc::Status& answer);
  };
  Try DownloadOnce(const Digest& digest, std::uint64_t bytes, const std::string& part,
                   const KeepGoing& keep_going) const;
  Try UploadOnce(const std::string& path, const Digest& digest, std::uint64_t bytes,
                 const std::string& task, const KeepGoing& keep_going) const;

  class Context;  // a client context that CancelCalls() finds

  Status Retry(const char* what, const KeepGoing& keep_going,
               const std::function<Try()>& once) const;
  bool Cancelled() const;

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Federation::Stub> stub_;
  const Patience patience_;
  mutable Mutex mutex_;
  mutable bool cancelled_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  mutable std::set<grpc::ClientContext*> calls_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::client
