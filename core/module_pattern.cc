#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/module_pattern.h"

#include <pcre2.h>

#include <utility>

#include "core/text.h"

namespace tributary {
namespace {

constexpr std::uint32_t kMatchLimit = 100'000;  // steps for one name; real patterns take some tens

Status PatternError(std::string_view expression, const std::string& problem) {
  return InvalidArgumentError("regular expression \"" + Excerpt(expression) + "\": " + problem);
}

std::string Pcre2Text(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct ModulePattern::Compiled {
  std::string expression;
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  pcre2_match_context* limits = nullptr;
  ~Compiled() {
    pcre2_match_context_free(limits);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
};

ModulePattern::ModulePattern(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
ModulePattern::~ModulePattern() = default;
ModulePattern::ModulePattern(ModulePattern&&) noexcept = default;
ModulePattern& ModulePattern::operator=(ModulePattern&&) noexcept = default;

Result<ModulePattern> ModulePattern::Compile(std::string_view expression) {
  auto compiled = std::make_unique<Compiled>();
  compiled->expression = expression;
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &offset, nullptr);
  if (compiled->code == nullptr) {
    return PatternError(expression, "at byte " + std::to_string(offset) + ": " + Pcre2Text(error));
  }
  compiled->match = pcre2_match_data_create_from_pattern(compiled->code, nullptr);
  compiled->limits = pcre2_match_context_create(nullptr);
  if (compiled->match == nullptr || compiled->limits == nullptr) {
    return ResourceExhaustedError("no memory for a regular expression");
  }
  pcre2_set_match_limit(compiled->limits, kMatchLimit);
  return ModulePattern(std::move(compiled));
}

Result<bool> ModulePattern::Matches(std::string_view name) const {
  const int count = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(name.data()),
                                name.size(), 0, 0, compiled_->match, compiled_->limits);
  if (count >= 0) return true;
  if (count == PCRE2_ERROR_NOMATCH) return false;
  return PatternError(compiled_->expression,
                      "on \"" + std::string(name) + "\": " + Pcre2Text(count));
}

}  // namespace tributary
