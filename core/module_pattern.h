// Regular expressions over module names, as adapter_config.json may hold them. The dialect is
// PCRE2's, which reads what people write for Python's `re` there. Matching is bounded: an
// expression that would run for ever is an error.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary {

// Move-only; one thread at a time.
class ModulePattern {
 public:
  static Result<ModulePattern> Compile(std::string_view expression);
  ~ModulePattern();
  ModulePattern(ModulePattern&& other) noexcept;
  ModulePattern& operator=(ModulePattern&& other) noexcept;

  // Whether the expression matches the whole name, like re.fullmatch.
  Result<bool> Matches(std::string_view name) const;

 private:
  struct Compiled;
  explicit ModulePattern(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace tributary
