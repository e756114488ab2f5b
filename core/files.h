// Files as this project uses them: whole small files, atomic replacement, read-only mappings,
// durable renames. A path with a NUL in it is refused (and does not exist), whatever is asked.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mapping_guard.h"
#include "core/status.h"

namespace tributary {

// Owns a file descriptor; closes it at the end. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { Reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();
  void Reset();

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC; the error names the path.
Result<FileDescriptor> OpenFile(const std::string& path, int flags, mode_t mode = 0600);

// Writes all bytes, at `offset` when it is not negative; retries interrupted and short writes.
Status WriteAll(int fd, const void* data, std::size_t size, std::int64_t offset = -1);

// The whole file, those of /proc too; refuses one larger than `max_bytes`.
Result<std::string> ReadFile(const std::string& path,
                             std::size_t max_bytes = std::size_t{64} << 20);

// The last `max_bytes` of a file (a job's error output, say).
Result<std::string> ReadFileTail(const std::string& path, std::size_t max_bytes);

// Replaces `path` so that a reader sees the old bytes or the new ones, also after a power cut:
// temporary file in the same directory, fsync, rename, fsync of the directory.
Status WriteFileAtomic(const std::string& path, std::string_view bytes, mode_t mode = 0600);

// rename(2) followed by fsync of the target's directory.
Status RenameDurably(const std::string& from, const std::string& to);
Status SyncDirectory(const std::string& directory);
// link(2): a second name for the same bytes. A `to` that exists is left as it is; false when there
// is no `from` (or no directory for `to`).
Result<bool> LinkFile(const std::string& from, const std::string& to);

// mkdir -p; new directories get `mode`, and are there after a power cut.
Status MakeDirectories(const std::string& path, mode_t mode = 0700);
// rm -r; a path that does not exist is fine.
Status RemoveTree(const std::string& path);
Status RemoveFile(const std::string& path);  // a path that does not exist is fine

bool PathExists(const std::string& path);
Result<std::uint64_t> FileSize(const std::string& path);
// Names in a directory, sorted, without "." and "..".
Result<std::vector<std::string>> ListDirectory(const std::string& path);
// "a" + "b" -> "a/b"; an absolute `name` stands alone.
std::string JoinPath(std::string_view directory, std::string_view name);
std::string DirectoryOf(const std::string& path);

// A private directory under $TMPDIR (or /tmp), removed with its content at the end.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> Create(std::string_view prefix);
  // The same elsewhere.
  static Result<TemporaryDirectory> CreateIn(std::string_view parent, std::string_view prefix);
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// What a mapped file does to its reader when it cannot be read, because it was shortened or its
// disk fails.
enum class OnDamage : std::uint8_t {
  kEndProcess,  // SIGBUS: only for files that nobody else writes
  kReport,      // zeros; Intact() says so, and whoever has read must ask before it uses the result
};

// A read-only mapping of a whole file. The bytes stay valid for the life of the object, also when
// it is moved.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::string& path,
                                 OnDamage on_damage = OnDamage::kEndProcess);
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Lets the pages of `part` of bytes(), and some before it, leave this process's memory; they stay
  // readable (from the page cache). For readers that go through a large file once, from its start
  // to its end.
  void Release(std::span<const std::byte> part) const;
  // Data loss when bytes that were read so far were not those of the file (OnDamage::kReport).
  Status Intact() const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::string path_;
  MappingGuard guard_;  // goes before the mapping does
};

}  // namespace tributary
