#include "core/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/text.h"

namespace tributary {
namespace {

// A system call would take what stands before a NUL for the whole path, and so another file.
bool HasNul(std::string_view path) { return path.find('\0') != std::string_view::npos; }
Status CheckPath(std::string_view path) {
  if (!HasNul(path)) return OkStatus();
  return InvalidArgumentError("path \"" + Excerpt(path, 200) + "\" has a NUL in it");
}

Result<std::uint64_t> SizeOf(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoError("stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return InvalidArgumentError(path + ": is not a regular file");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::string> ReadExactly(int fd, const std::string& path, std::uint64_t offset,
                                std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("read " + path, errno);
    if (got == 0) break;  // shortened meanwhile
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = other.Release();
  }
  return *this;
}

int FileDescriptor::Release() { return std::exchange(fd_, -1); }

void FileDescriptor::Reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Result<FileDescriptor> OpenFile(const std::string& path, int flags, mode_t mode) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  while (true) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return FileDescriptor(fd);
    if (errno != EINTR) return ErrnoError("open " + path, errno);
  }
}

Status WriteAll(int fd, const void* data, std::size_t size, std::int64_t offset) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put =
        offset < 0 ? write(fd, next, size) : pwrite(fd, next, size, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoError("write", errno);
    next += put;
    size -= static_cast<std::size_t>(put);
    if (offset >= 0) offset += put;
  }
  return OkStatus();
}

Result<std::string> ReadFile(const std::string& path, std::size_t max_bytes) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(path, O_RDONLY));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOf(file.get(), path));
  if (size > max_bytes) {
    return InvalidArgumentError(path + ": is " + std::to_string(size) + " bytes; must be at most " +
                                std::to_string(max_bytes));
  }
  if (size > 0) return ReadExactly(file.get(), path, 0, size);
  // Empty, or one of /proc and /sys, whose size is not known before it is read.
  std::string bytes;
  constexpr std::size_t kPiece = 4096;
  while (true) {
    const std::size_t before = bytes.size();
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string piece,
                               ReadExactly(file.get(), path, before, kPiece));
    if (piece.empty()) return bytes;
    bytes += piece;
    if (bytes.size() > max_bytes) {
      return InvalidArgumentError(path + ": is larger than " + std::to_string(max_bytes) +
                                  " bytes");
    }
  }
}

Result<std::string> ReadFileTail(const std::string& path, std::size_t max_bytes) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(path, O_RDONLY));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOf(file.get(), path));
  const std::uint64_t take = std::min<std::uint64_t>(size, max_bytes);
  return ReadExactly(file.get(), path, size - take, take);
}

Status WriteFileAtomic(const std::string& path, std::string_view bytes, mode_t mode) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  std::string temporary = path + ".tmp-XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoError("create " + temporary, errno);
  FileDescriptor file(fd);
  Status status = WriteAll(fd, bytes.data(), bytes.size()).Annotate(temporary);
  if (status.ok() && fchmod(fd, mode) != 0) status = ErrnoError("chmod " + temporary, errno);
  if (status.ok() && fsync(fd) != 0) status = ErrnoError("fsync " + temporary, errno);
  if (status.ok()) status = RenameDurably(temporary, path);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

Status RenameDurably(const std::string& from, const std::string& to) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(from));
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(to));
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoError("rename " + from + " to " + to, errno);
  }
  return SyncDirectory(DirectoryOf(to));
}

Result<bool> LinkFile(const std::string& from, const std::string& to) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(from));
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(to));
  if (link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) return true;
  if (errno == ENOENT) return false;
  return ErrnoError("link " + from + " to " + to, errno);
}

Status SyncDirectory(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor fd, OpenFile(directory, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) return ErrnoError("fsync " + directory, errno);
  return OkStatus();
}

Status MakeDirectories(const std::string& path, mode_t mode) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  if (path.empty()) return InvalidArgumentError("a directory name is empty");
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end != path.size() && path[end] != '/') continue;
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), mode) == 0) {
      TRIBUTARY_RETURN_IF_ERROR(SyncDirectory(DirectoryOf(part)));
    } else if (errno != EEXIST) {
      return ErrnoError("mkdir " + part, errno);
    }
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoError("stat " + path, errno);
  if (!S_ISDIR(info.st_mode)) return InvalidArgumentError(path + ": is not a directory");
  return OkStatus();
}

Status RemoveTree(const std::string& path) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return ErrnoError("remove " + path, error.value());
  return OkStatus();
}

Status RemoveFile(const std::string& path) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove " + path, errno);
  return OkStatus();
}

bool PathExists(const std::string& path) {
  return !HasNul(path) && access(path.c_str(), F_OK) == 0;
}

Result<std::uint64_t> FileSize(const std::string& path) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoError("stat " + path, errno);
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::vector<std::string>> ListDirectory(const std::string& path) {
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  std::error_code error;
  std::vector<std::string> names;
  auto it = std::filesystem::directory_iterator(path, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return ErrnoError("list " + path, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  if (directory.empty() || (!name.empty() && name.front() == '/')) return std::string(name);
  std::string path(directory);
  if (path.back() != '/') path += '/';
  return path.append(name);
}

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<TemporaryDirectory> TemporaryDirectory::Create(std::string_view prefix) {
  const char* base = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): read-only use
  return CreateIn(base != nullptr && *base != '\0' ? base : "/tmp", prefix);
}

Result<TemporaryDirectory> TemporaryDirectory::CreateIn(std::string_view parent,
                                                        std::string_view prefix) {
  std::string path = JoinPath(parent, std::string(prefix) + "XXXXXX");
  TRIBUTARY_RETURN_IF_ERROR(CheckPath(path));
  if (mkdtemp(path.data()) == nullptr) return ErrnoError("create directory " + path, errno);
  return TemporaryDirectory(std::move(path));
}

TemporaryDirectory::~TemporaryDirectory() {
  if (path_.empty()) return;
  if (const Status status = RemoveTree(path_); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());  // NOLINT: nobody else can hear it
  }
}

Result<MappedFile> MappedFile::Open(const std::string& path, OnDamage on_damage) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(path, O_RDONLY));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOf(file.get(), path));
  MappedFile mapped;
  mapped.path_ = path;
  if (size == 0) return mapped;
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) return ErrnoError("map " + path, errno);
  mapped.data_ = static_cast<const std::byte*>(data);
  mapped.size_ = size;
  if (on_damage == OnDamage::kReport) mapped.guard_ = MappingGuard(data, size);
  return mapped;
}

MappedFile::~MappedFile() {
  guard_ = MappingGuard();
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::Release(std::span<const std::byte> part) const {
  constexpr std::uintptr_t kPage = 4096;
  // The kernel maps pages around each fault too, also ones behind the reader: they go with the next
  // part.
  constexpr std::uintptr_t kBehind = std::uintptr_t{256} << 10;
  const auto start = reinterpret_cast<std::uintptr_t>(data_);
  const auto first = reinterpret_cast<std::uintptr_t>(part.data());
  const auto begin = (std::max(start, first - std::min(first, kBehind)) + kPage - 1) & ~(kPage - 1);
  const auto end = (first + part.size()) & ~(kPage - 1);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Status MappedFile::Intact() const {
  if (!guard_.Damaged()) return OkStatus();
  return DataLossError(path_ + ": cannot be read to its end; it was shortened, or its disk fails");
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)),
      guard_(std::move(other.guard_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  std::swap(guard_, other.guard_);
  return *this;
}

}  // namespace tributary
