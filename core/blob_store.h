// Content-addressed files: a blob's name is the SHA-256 of its bytes. A blob under its name is
// whole, verified and durable.
//
//   <root>/blobs/ab/abcdef...     finished
//   <root>/incoming/<owner>-<digest>.part   being received; survives a restart, so that an upload
//   resumes
//   <root>/quarantine/abcdef...   was found to be damaged
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "core/sha256.h"
#include "core/status.h"

namespace tributary {

// One blob arriving in pieces. Hashes while the bytes pass. Not thread-safe; at most one per
// (owner, digest) at a time, which a lock on the partial file enforces.
class BlobReceiver {
 public:
  ~BlobReceiver();  // keeps the partial file
  BlobReceiver(const BlobReceiver&) = delete;
  BlobReceiver& operator=(const BlobReceiver&) = delete;

  std::uint64_t offset() const { return offset_; }  // bytes held
  // Fails when the blob would outgrow its declared size.
  Status Append(std::span<const std::byte> bytes);
  // Verifies size and digest, makes the blob durable and visible. A wrong digest discards the
  // partial file: data loss.
  Status Finish();

 private:
  friend class BlobStore;
  BlobReceiver() = default;

  std::string part_path_, final_path_;
  FileDescriptor file_;
  Digest digest_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  Sha256 hash_;
};

// Thread-safe: all state is in the file system.
class BlobStore {
 public:
  static Result<BlobStore> Open(const std::string& root);

  std::string PathOf(const Digest& digest) const;
  // For files that are to be adopted. What stays there is removed with stale partial files.
  std::string ScratchDirectory() const { return root_ + "/incoming"; }
  bool Has(const Digest& digest) const;
  Result<std::uint64_t> SizeOf(const Digest& digest) const;

  // Bytes of an unfinished upload that can be resumed; the full size when the blob is complete; 0
  // when unknown.
  std::uint64_t ResumeOffset(std::string_view owner, const Digest& digest) const;
  // Continues at ResumeOffset. `owner` is a file-name-safe name of the sender; two owners never
  // share a partial file. Aborted when another receiver holds the same partial file. What is held
  // already is hashed first, which can take minutes: cancelled when `keep_going`, asked meanwhile,
  // says no.
  Result<std::unique_ptr<BlobReceiver>> Receive(std::string_view owner, const Digest& digest,
                                                std::uint64_t size,
                                                const std::function<bool()>& keep_going = nullptr);

  // Takes over a finished file of the same file system whose digest the caller has computed.
  Status Adopt(const std::string& path, const Digest& digest);
  Status Remove(const Digest& digest);
  // Takes the blob out of the store at once, to a file that the caller removes; to unlink a large
  // file can take long. Not found when it is not here.
  Result<std::string> SetAside(const Digest& digest);
  Result<std::size_t> Count() const;  // of finished blobs
  // Takes a blob that is not what its name says out of the store, to <root>/quarantine, where a
  // person can look at it from now on. One that is not here is fine.
  Status Quarantine(const Digest& digest);
  // Removes every blob that is not in `referenced`; returns how many went.
  Result<std::size_t> RemoveUnreferenced(const std::set<Digest>& referenced);
  // Blobs that were written longer ago, sorted.
  Result<std::vector<Digest>> OlderThan(std::chrono::seconds age) const;
  // Removes partial files and damaged blobs that are older than their limits.
  Status RemoveStale(std::chrono::seconds parts, std::chrono::seconds quarantine);

 private:
  explicit BlobStore(std::string root) : root_(std::move(root)) {}
  std::string PartPath(std::string_view owner, const Digest& digest) const;
  Status ForEach(const std::function<Status(const Digest&)>& visit) const;

  std::string root_;
};

}  // namespace tributary
