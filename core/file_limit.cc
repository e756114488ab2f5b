#include "core/file_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace tributary {
namespace {

// Some systems have a hard limit of 2^30, and programs that go through all possible numbers.
constexpr rlim_t kEnough = 262'144;

}  // namespace

Result<std::uint64_t> RaiseFileLimit() {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError("read the limit of files", errno);
  const rlim_t wanted = std::min(limit.rlim_max, kEnough);
  if (limit.rlim_cur >= wanted) return static_cast<std::uint64_t>(limit.rlim_cur);
  limit.rlim_cur = wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError("raise the limit of files", errno);
  return static_cast<std::uint64_t>(wanted);
}

}  // namespace tributary
