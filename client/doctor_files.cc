#include "client/doctor_files.h"

#include <fcntl.h>
#include <mntent.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "core/files.h"
#include "core/sqlite.h"

namespace tributary::client {
namespace {

struct KnownFileSystem {
  unsigned long magic;
  const char* name;
  bool volatile_memory = false;
};
// statfs(2) magic numbers of file systems that no other machine sees under this path.
constexpr std::array kLocalFileSystems = {
    KnownFileSystem{0xEF53, "ext4"},           KnownFileSystem{0x58465342, "xfs"},
    KnownFileSystem{0x9123683E, "btrfs"},      KnownFileSystem{0x2FC12FC1, "zfs"},
    KnownFileSystem{0x794C7630, "overlay"},    KnownFileSystem{0x01021994, "tmpfs", true},
    KnownFileSystem{0x858458F6, "ramfs", true}};

constexpr std::uint64_t kTaskCopies = 3;  // of an adapter: the global one, the trained, the delta
constexpr std::uint64_t kLeastRoom = std::uint64_t{64} << 20;
constexpr std::size_t kTestBytes = 65536;

std::string ModeText(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777));
  return text.data();
}

// A file with bytes, made durable, linked and renamed: what staging a task takes.
Status WriteLikeATask(const std::string& parent, bool* links) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch,
                             TemporaryDirectory::CreateIn(parent, ".tributary-doctor-"));
  const std::string file = scratch.path() + "/file";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(file, std::string(kTestBytes, 'x')));
  *links = link(file.c_str(), (file + ".link").c_str()) == 0;
  return OkStatus();
}

Status CanWrite(const std::string& directory) {
  bool links = false;
  return WriteLikeATask(directory, &links);
}

bool IsTemporary(const std::string& path, const FileSystem& system) {
  return system.volatile_memory || path.starts_with("/tmp/") || path.starts_with("/dev/shm/") ||
         path.starts_with("/run/");
}

std::optional<std::uint64_t> FreeBytes(const std::string& path) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

// The device under the mount that holds `path`; empty when it is not known.
std::string DeviceOf(const std::string& path) {
  struct stat wanted {};
  if (stat(path.c_str(), &wanted) != 0) return {};
  const std::unique_ptr<FILE, int (*)(FILE*)> mounts(setmntent("/proc/self/mounts", "re"),
                                                     endmntent);
  if (!mounts) return {};
  mntent entry{};
  std::array<char, 4096> buffer{};
  while (getmntent_r(mounts.get(), &entry, buffer.data(), static_cast<int>(buffer.size())) !=
         nullptr) {
    struct stat mounted {};
    if (entry.mnt_fsname[0] != '/' || stat(entry.mnt_dir, &mounted) != 0) continue;
    if (mounted.st_dev == wanted.st_dev) return entry.mnt_fsname;
  }
  return {};
}

// What this user may still write, where the kernel itself keeps quotas (local file systems).
std::optional<std::uint64_t> QuotaLeft(const std::string& path) {
  const std::string device = DeviceOf(path);
  dqblk quota{};
  if (device.empty() ||
      quotactl(QCMD(Q_GETQUOTA, USRQUOTA), device.c_str(), static_cast<int>(geteuid()),
               reinterpret_cast<char*>(&quota)) < 0) {
    return std::nullopt;
  }
  if (quota.dqb_bhardlimit == 0) return std::nullopt;
  const std::uint64_t limit = quota.dqb_bhardlimit * 1024;  // in blocks of 1 KiB
  return limit > quota.dqb_curspace ? limit - quota.dqb_curspace : 0;
}

std::string QuotaText(const std::string& path, const FileSystem& system) {
  if (const auto left = QuotaLeft(path)) return SizeText(*left) + " left of the quota";
  if (system.name == "lustre") return "a quota is not seen from here, ask: lfs quota -h " + path;
  if (system.name == "gpfs") return "a quota is not seen from here, ask: mmlsquota";
  return system.network ? "a quota is not seen from here" : "no quota known";
}

Check CheckRoom(const ClientConfig& config, const std::string& there, const FileSystem& system) {
  const PolicySection policy = config.policy.value_or(PolicySection());
  const auto tasks = static_cast<std::uint64_t>(config.job.max_concurrent);
  const std::uint64_t need = kTaskCopies * policy.max_update.bytes * tasks;
  const std::string name = "workspace room";
  const auto free = FreeBytes(there);
  if (!free) return Warned(name, "how much is free cannot be known", "look with: df " + there);
  const std::uint64_t left = std::min(*free, QuotaLeft(there).value_or(*free));
  const std::string found = SizeText(*free) + " free; " + QuotaText(there, system) + "; " +
                            std::to_string(tasks) + " tasks of policy.max_update need " +
                            SizeText(need);
  if (left < kLeastRoom) return Failed(name, found, "make room, or move the workspace");
  if (left < need) {
    return Warned(name, found, "make room, or lower job.max_concurrent or policy.max_update");
  }
  return Passed(name, found);
}

Check CheckSeenByJobs(const ClientConfig& config, const std::string& there,
                      const FileSystem& system) {
  const std::string name = "workspace place";
  if (config.scheduler.adapter == "local") return Passed(name, system.name + "; jobs run here");
  if (system.network) return Passed(name, system.name + ", which other machines can see");
  if (!system.local && !IsTemporary(there, system)) {
    return Passed(name, "file system " + system.name + ", not known to be local; --job proves it");
  }
  return Warned(name,
                there + " is on " + system.name + " of this machine; a job on another node does " +
                    "not see it",
                "move workspace to a file system that the nodes share; doctor --job shows whether "
                "jobs write there");
}

// Of a directory that is there.
Check CheckPrivate(const std::string& path) {
  const std::string name = "workspace";
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return Failed(name, path + " is not a directory", "choose another path");
  }
  if (info.st_uid != geteuid()) {
    return Failed(name, path + " belongs to user " + std::to_string(info.st_uid),
                  "choose a directory of the user that runs the daemon");
  }
  if ((info.st_mode & 077) != 0) {
    return Warned(name, path + ": mode " + ModeText(info.st_mode) + " lets others look",
                  "run: chmod 700 " + path);
  }
  return Passed(name, path + ": writable, mode " + ModeText(info.st_mode));
}

}  // namespace

FileSystem FileSystemOf(const std::string& path) {
  FileSystem system;
  system.name = NetworkFilesystemOf(path);
  system.network = !system.name.empty();
  struct statfs info {};
  if (system.network) return system;
  if (statfs(path.c_str(), &info) != 0) return {.name = "unknown"};
  const auto magic = static_cast<unsigned long>(info.f_type);
  for (const KnownFileSystem& known : kLocalFileSystems) {
    if (known.magic == magic) return {known.name, false, true, known.volatile_memory};
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "0x%lx", magic);
  return {.name = text.data()};
}

std::string ExistingPart(const std::string& path) {
  std::string part = path;
  while (part.size() > 1 && !PathExists(part)) part = DirectoryOf(part);
  return part;
}

std::optional<pid_t> HolderOf(const std::string& database) {
  const auto file = OpenFile(database, O_RDONLY);
  if (!file.ok()) return std::nullopt;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;  // from 0 to the end, wherever that is
  if (fcntl(file->get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return std::max<pid_t>(lock.l_pid, 0);
}

std::string SizeText(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < kUnits.size()) {
    size /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", size, kUnits[unit]);
  return text.data();
}

Check CheckStateDirectory(const ClientConfig& config) {
  const std::string name = "state_dir";
  const std::string& path = config.state_dir;
  const std::string there = ExistingPart(path);
  const FileSystem system = FileSystemOf(there);
  if (const Status status = CanWrite(there); !status.ok()) {
    return Failed(name, status.message(), "choose a directory that this user may write to");
  }
  std::string found = path + ": " + system.name + ", writable";
  if (there != path) found += ", made by the daemon";
  if (const auto holder = HolderOf(JoinPath(path, "client.db"))) {
    found += *holder == 0 ? "; a daemon on another machine uses it"
                          : "; the daemon, process " + std::to_string(*holder) + ", uses it";
  }
  if (system.network) {
    return Warned(name, found,
                  "choose a local disk of this node that survives a reboot; without one, never run "
                  "the daemon on another node at the same time");
  }
  if (IsTemporary(path, system)) {
    return Warned(name, found + "; a reboot may empty it",
                  "choose a local disk that survives a reboot");
  }
  return Passed(name, found);
}

Checks CheckWorkspace(const ClientConfig& config) {
  const std::string& path = config.workspace;
  const std::string there = ExistingPart(path);
  const FileSystem system = FileSystemOf(there);
  bool links = false;
  if (const Status status = WriteLikeATask(there, &links); !status.ok()) {
    return {
        Failed("workspace", status.message(), "choose a directory that this user may write to")};
  }
  Checks checks = {there == path ? CheckPrivate(path)
                                 : Passed("workspace", path + ": made by the daemon, mode 0700")};
  if (!links) {
    checks.push_back(Failed("workspace links", there + ": no hard links on " + system.name,
                            "move workspace to a file system that has them"));
  }
  checks.push_back(CheckSeenByJobs(config, there, system));
  checks.push_back(CheckRoom(config, there, system));
  return checks;
}

}  // namespace tributary::client
