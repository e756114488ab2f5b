#include "scheduler_adapters/cpu_share.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace tributary::scheduler_adapters {
namespace {

constexpr int kMostJobsOnACpu = 64;

FileDescriptor OpenClaims(const std::string& path) {
  Result<FileDescriptor> file = OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  struct stat info {};
  // In a directory that all may write: only a file of our own counts.
  if (!file.ok() || fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_uid != geteuid()) {
    return {};
  }
  return std::move(*file);
}

// Byte `level * CPU_SETSIZE + cpu` belongs to the job that was the level-th to claim the CPU.
bool Claim(int fd, int level, int cpu) {
  struct flock byte {};
  byte.l_type = F_WRLCK;
  byte.l_whence = SEEK_SET;
  byte.l_start = static_cast<off_t>(level) * CPU_SETSIZE + cpu;
  byte.l_len = 1;
  return fcntl(fd, F_OFD_SETLK, &byte) == 0;
}

}  // namespace

std::string CpuShare::DefaultClaimsPath() {
  return "/tmp/tributary-cpus-" + std::to_string(geteuid());
}

CpuShare CpuShare::Choose(const cpu_set_t& allowed, std::int64_t count, std::string_view job_name,
                          const std::string& claims_path) {
  CpuShare share;
  std::vector<int> candidates;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) candidates.push_back(cpu);
  }
  if (count >= static_cast<std::int64_t>(candidates.size())) {
    share.cpus_ = allowed;
    return share;
  }
  CPU_ZERO(&share.cpus_);
  const std::size_t first = std::hash<std::string_view>()(job_name) % candidates.size();
  std::rotate(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(first),
              candidates.end());
  share.claims_ = OpenClaims(claims_path);
  for (int level = 0; level < kMostJobsOnACpu && share.claims_.valid(); ++level) {
    for (const int cpu : candidates) {
      if (CPU_COUNT(&share.cpus_) >= count) return share;
      if (!CPU_ISSET(cpu, &share.cpus_) && Claim(share.claims_.get(), level, cpu)) {
        CPU_SET(cpu, &share.cpus_);
      }
    }
  }
  for (const int cpu : candidates) {
    if (CPU_COUNT(&share.cpus_) < count) CPU_SET(cpu, &share.cpus_);
  }
  return share;
}

}  // namespace tributary::scheduler_adapters
