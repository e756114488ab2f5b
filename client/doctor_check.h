// One line of what the doctor says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tributary::client {

enum class Outcome : std::uint8_t {
  kOk,
  kWarning,  // works, or may work; a person should know
  kFailed,   // tasks would not run, or not come back
  kSkipped,  // not asked for, or it would say nothing after an earlier failure
};

struct Check {
  std::string name;  // what was looked at: "workspace"
  Outcome outcome = Outcome::kOk;
  std::string found;   // one line
  std::string advice;  // what to do; empty when there is nothing to do
};

using Checks = std::vector<Check>;

// Hears what a long check is waiting for; for people.
using Progress = std::function<void(std::string_view)>;

inline Check Passed(std::string name, std::string found) {
  return {std::move(name), Outcome::kOk, std::move(found), {}};
}
inline Check Warned(std::string name, std::string found, std::string advice) {
  return {std::move(name), Outcome::kWarning, std::move(found), std::move(advice)};
}
inline Check Failed(std::string name, std::string found, std::string advice) {
  return {std::move(name), Outcome::kFailed, std::move(found), std::move(advice)};
}
inline Check Skipped(std::string name, std::string why) {
  return {std::move(name), Outcome::kSkipped, std::move(why), {}};
}

}  // namespace tributary::client
