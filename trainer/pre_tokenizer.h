// One regular expression that cuts text into pieces.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace tributary::trainer {

// The pattern of GPT-2, which tokenizer.json means by {"type": "ByteLevel", "use_regex": true}.
extern const std::string_view kGpt2Pattern;

// Not thread-safe.
class PreTokenizer {
 public:
  struct Span {
    std::size_t begin, end;  // bytes
  };

  // `pattern` is an expression over UTF-8 as tokenizer.json has them (regex_dialect.h).
  static Result<PreTokenizer> Create(std::string_view pattern);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  // The matches that are not empty, in order.
  Result<std::vector<Span>> Matches(std::string_view text) const;

  // The matches and what lies between them, in order: together they are `text`, also where it is
  // not UTF-8. The views point into `text`.
  Result<std::vector<std::string_view>> Split(std::string_view text) const;

 private:
  struct Compiled;
  explicit PreTokenizer(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace tributary::trainer
