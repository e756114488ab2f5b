#include "scheduler_adapters/scheduler_user.h"

#include <unistd.h>

#include <string_view>

#include "core/user.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::scheduler_adapters {
namespace {

bool IsUserName(std::string_view text) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  return !text.empty() && text.front() != '-' &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

std::string SchedulerUser(const SchedulerOptions& options) {
  if (options.command_prefix.empty()) {
    if (const auto user = FindUser(geteuid())) return user->name;
  }
  CommandRunner runner({.prefix = options.command_prefix, .timeout = options.command_timeout});
  const auto result = runner.Run({"id", "-un"});
  if (!result.ok() || !result->ok()) return "";
  // A login may print its own words first.
  std::string_view out = result->out;
  while (out.ends_with('\n') || out.ends_with('\r')) out.remove_suffix(1);
  const std::string_view last = out.substr(out.rfind('\n') + 1);
  return IsUserName(last) ? std::string(last) : "";
}

}  // namespace tributary::scheduler_adapters
