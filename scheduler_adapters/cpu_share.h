// Which CPUs a local job may use.
#pragma once

#include <sched.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/files.h"
#include "core/status.h"

namespace tributary::scheduler_adapters {

// CPUs claimed for one job: as few other jobs of this user as possible have them. The claim is a
// lock on bytes of a file that all supervisors of the user share, so it ends with the object, or
// the process. One thread.
class CpuShare {
 public:
  // `count` of the CPUs in `allowed`; all of them, unclaimed, when it has no more. Never fails:
  // without the file at `claims_path`, `job_name` decides where to begin.
  static CpuShare Choose(const cpu_set_t& allowed, std::int64_t count, std::string_view job_name,
                         const std::string& claims_path);
  // Under /tmp, with the user's number.
  static std::string DefaultClaimsPath();

  const cpu_set_t& cpus() const { return cpus_; }

 private:
  cpu_set_t cpus_{};
  FileDescriptor claims_;
};

}  // namespace tributary::scheduler_adapters
