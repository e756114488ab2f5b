#include "core/blob_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <vector>

namespace tributary {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

// Feeds what an earlier connection left behind into the hash.
Status HashExisting(int fd, std::uint64_t size, const std::function<bool()>& keep_going,
                    Sha256* hash) {
  std::vector<char> buffer(kReadBytes);
  for (std::uint64_t at = 0; at < size;) {
    if (keep_going && !keep_going()) return CancelledError("nobody waits for it any more");
    const ssize_t got = pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return ErrnoError("read partial blob", got < 0 ? errno : EIO);
    hash->Update(buffer.data(), static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
  }
  return OkStatus();
}

// By when it was written. False for what is not there.
bool IsOlder(const std::string& path, std::time_t now, std::chrono::seconds age) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && now - info.st_mtime > age.count();
}

Status RemoveOlder(const std::string& directory, std::chrono::seconds age) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(directory));
  const std::time_t now = std::time(nullptr);
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    if (IsOlder(path, now, age)) TRIBUTARY_RETURN_IF_ERROR(RemoveFile(path));
  }
  return OkStatus();
}

}  // namespace

BlobReceiver::~BlobReceiver() = default;

Status BlobReceiver::Append(std::span<const std::byte> bytes) {
  if (bytes.size() > size_ - offset_) {
    return InvalidArgumentError("blob " + digest_.ToHex() + " grows past its declared " +
                                std::to_string(size_) + " bytes");
  }
  TRIBUTARY_RETURN_IF_ERROR(
      WriteAll(file_.get(), bytes.data(), bytes.size(), static_cast<std::int64_t>(offset_))
          .Annotate(part_path_));
  hash_.Update(bytes.data(), bytes.size());
  offset_ += bytes.size();
  return OkStatus();
}

Status BlobReceiver::Finish() {
  if (offset_ != size_) {
    return DataLossError("blob " + digest_.ToHex() + " ended at byte " + std::to_string(offset_) +
                         " of " + std::to_string(size_));
  }
  const Digest actual = hash_.Finish();
  if (actual != digest_) {
    unlink(part_path_.c_str());
    return DataLossError("blob " + digest_.ToHex() + " arrived with digest " + actual.ToHex() +
                         "; it is discarded, send it again");
  }
  if (fdatasync(file_.get()) != 0) return ErrnoError("fdatasync " + part_path_, errno);
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(DirectoryOf(final_path_)));
  return RenameDurably(part_path_, final_path_);
}

Result<BlobStore> BlobStore::Open(const std::string& root) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(JoinPath(root, "blobs")));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(JoinPath(root, "incoming")));
  return BlobStore(root);
}

std::string BlobStore::PathOf(const Digest& digest) const {
  const std::string hex = digest.ToHex();
  return root_ + "/blobs/" + hex.substr(0, 2) + "/" + hex;
}

std::string BlobStore::PartPath(std::string_view owner, const Digest& digest) const {
  return root_ + "/incoming/" + std::string(owner) + "-" + digest.ToHex() + ".part";
}

bool BlobStore::Has(const Digest& digest) const { return PathExists(PathOf(digest)); }

Result<std::uint64_t> BlobStore::SizeOf(const Digest& digest) const {
  auto size = FileSize(PathOf(digest));
  if (!size.ok()) return NotFoundError("blob " + digest.ToHex() + " is not here");
  return size;
}

std::uint64_t BlobStore::ResumeOffset(std::string_view owner, const Digest& digest) const {
  if (const auto whole = SizeOf(digest); whole.ok()) return *whole;
  const auto part = FileSize(PartPath(owner, digest));
  return part.ok() ? *part : 0;
}

Result<std::unique_ptr<BlobReceiver>> BlobStore::Receive(std::string_view owner,
                                                         const Digest& digest, std::uint64_t size,
                                                         const std::function<bool()>& keep_going) {
  std::unique_ptr<BlobReceiver> receiver(new BlobReceiver());
  receiver->part_path_ = PartPath(owner, digest);
  receiver->final_path_ = PathOf(digest);
  receiver->digest_ = digest;
  receiver->size_ = size;
  TRIBUTARY_ASSIGN_OR_RETURN(receiver->file_, OpenFile(receiver->part_path_, O_RDWR | O_CREAT));
  const int fd = receiver->file_.get();
  const auto busy = [&] {
    return AbortedError("blob " + digest.ToHex() + " is already being received; try again");
  };
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return busy();
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoError("stat " + receiver->part_path_, errno);
  // Between open and lock the one who had the lock may have given the file its final name.
  struct stat named {};
  if (stat(receiver->part_path_.c_str(), &named) != 0 || named.st_ino != info.st_ino ||
      named.st_dev != info.st_dev) {
    return busy();
  }
  std::uint64_t held = static_cast<std::uint64_t>(info.st_size);
  if (held > size) {  // left by a sender that declared another size
    if (ftruncate(fd, 0) != 0) return ErrnoError("truncate " + receiver->part_path_, errno);
    held = 0;
  }
  TRIBUTARY_RETURN_IF_ERROR(HashExisting(fd, held, keep_going, &receiver->hash_));
  receiver->offset_ = held;
  return receiver;
}

Status BlobStore::Adopt(const std::string& path, const Digest& digest) {
  const std::string target = PathOf(digest);
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(DirectoryOf(target)));
  return RenameDurably(path, target);
}

Status BlobStore::Remove(const Digest& digest) { return RemoveFile(PathOf(digest)); }

Result<std::string> BlobStore::SetAside(const Digest& digest) {
  const std::string path = PathOf(digest);
  const std::string aside = ScratchDirectory() + "/removed-" + digest.ToHex();
  if (rename(path.c_str(), aside.c_str()) != 0) return ErrnoError("remove " + path, errno);
  return aside;
}

Status BlobStore::Quarantine(const Digest& digest) {
  const std::string path = PathOf(digest);
  if (!PathExists(path)) return OkStatus();
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(JoinPath(root_, "quarantine")));
  // Its time there begins now, however old it is.
  if (utimensat(AT_FDCWD, path.c_str(), nullptr, 0) != 0) return ErrnoError("touch " + path, errno);
  return RenameDurably(path, root_ + "/quarantine/" + digest.ToHex());
}

Status BlobStore::ForEach(const std::function<Status(const Digest&)>& visit) const {
  const std::string blobs = JoinPath(root_, "blobs");
  TRIBUTARY_ASSIGN_OR_RETURN(const auto folders, ListDirectory(blobs));
  for (const std::string& folder : folders) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(JoinPath(blobs, folder)));
    for (const std::string& name : names) {
      const auto digest = Digest::FromHex(name);
      if (digest.ok()) TRIBUTARY_RETURN_IF_ERROR(visit(*digest));
    }
  }
  return OkStatus();
}

Result<std::size_t> BlobStore::Count() const {
  std::size_t count = 0;
  TRIBUTARY_RETURN_IF_ERROR(ForEach([&](const Digest&) {
    ++count;
    return OkStatus();
  }));
  return count;
}

Result<std::size_t> BlobStore::RemoveUnreferenced(const std::set<Digest>& referenced) {
  std::size_t removed = 0;
  TRIBUTARY_RETURN_IF_ERROR(ForEach([&](const Digest& digest) -> Status {
    if (referenced.contains(digest)) return OkStatus();
    ++removed;
    return Remove(digest);
  }));
  return removed;
}

Result<std::vector<Digest>> BlobStore::OlderThan(std::chrono::seconds age) const {
  std::vector<Digest> old;
  const std::time_t now = std::time(nullptr);
  TRIBUTARY_RETURN_IF_ERROR(ForEach([&](const Digest& digest) {
    if (IsOlder(PathOf(digest), now, age)) old.push_back(digest);
    return OkStatus();
  }));
  return old;
}

Status BlobStore::RemoveStale(std::chrono::seconds parts, std::chrono::seconds quarantine) {
  TRIBUTARY_RETURN_IF_ERROR(RemoveOlder(JoinPath(root_, "incoming"), parts));
  const std::string damaged = JoinPath(root_, "quarantine");
  return PathExists(damaged) ? RemoveOlder(damaged, quarantine) : OkStatus();
}

}  // namespace tributary
