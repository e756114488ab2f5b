// A variable of the environment for the time of one test, afterwards as it was.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace tributary {

class EnvironmentVariable {
 public:
  // Null: unset.
  EnvironmentVariable(const char* name, const char* value) : name_(name) {
    const char* before = std::getenv(name);
    if (before != nullptr) before_ = before;
    value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  }
  ~EnvironmentVariable() { before_ ? setenv(name_, before_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace tributary
