// Moves blobs: resumable, verified, for ever patient.
#pragma once

#include <functional>
#include <string>

#include "core/sha256.h"
#include "core/status.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::client {

// Whether to go on; asked between chunks and before each try.
using KeepGoing = std::function<bool()>;

// Thread-safe. `stub` outlives it.
class Transfer {
 public:
  explicit Transfer(v1::Federation::StubInterface& stub) : stub_(stub) {}

  // Writes the blob to `path`. A partial file (`path`.part) of an earlier try is continued. Retries
  // while the server is away; any other refusal is final. Cancelled when `keep_going` says no.
  Status Download(const Digest& digest, std::uint64_t bytes, const std::string& path,
                  const KeepGoing& keep_going) const;

  // Sends what the server does not hold yet. Retries likewise.
  Status Upload(const std::string& path, const Digest& digest, std::uint64_t bytes,
                const std::string& task, const KeepGoing& keep_going) const;

 private:
  Status DownloadOnce(const Digest& digest, std::uint64_t bytes, const std::string& part,
                      const KeepGoing& keep_going) const;
  Status UploadOnce(const std::string& path, const Digest& digest, std::uint64_t bytes,
                    const std::string& task, const KeepGoing& keep_going) const;

  v1::Federation::StubInterface& stub_;
};

}  // namespace tributary::client
