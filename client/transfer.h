// Moves blobs: resumable, verified, for ever patient.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "core/mutex.h"
#include "core/sha256.h"
#include "core/status.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::client {

// Whether to go on; asked between chunks and before each try.
using KeepGoing = std::function<bool()>;

// Thread-safe.
class Transfer {
 public:
  explicit Transfer(std::shared_ptr<grpc::Channel> channel)
      : channel_(std::move(channel)), stub_(v1::Federation::NewStub(channel_)) {}

  // Writes the blob to `path`. A partial file (`path`.part) of an earlier try is continued. Retries
  // while the server is away; any other refusal is final. Cancelled when `keep_going` says no.
  Status Download(const Digest& digest, std::uint64_t bytes, const std::string& path,
                  const KeepGoing& keep_going) const;

  // Sends what the server does not hold yet. Retries likewise.
  Status Upload(const std::string& path, const Digest& digest, std::uint64_t bytes,
                const std::string& task, const KeepGoing& keep_going) const;

  // Ends the calls under way and all later ones: they return soon. For a caller that stops.
  void CancelCalls() const;

 private:
  Status DownloadOnce(const Digest& digest, std::uint64_t bytes, const std::string& part,
                      const KeepGoing& keep_going) const;
  Status UploadOnce(const std::string& path, const Digest& digest, std::uint64_t bytes,
                    const std::string& task, const KeepGoing& keep_going) const;

  class Call;  // a client context that CancelCalls() finds

  Status Retry(const char* what, const KeepGoing& keep_going,
               const std::function<Status()>& once) const;

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Federation::Stub> stub_;
  mutable Mutex mutex_;
  mutable bool cancelled_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  mutable std::set<grpc::ClientContext*> calls_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::client
