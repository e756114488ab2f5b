// Characters of UTF-8 text, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tributary::trainer {

struct Utf8Character {
  std::size_t bytes = 1;
  std::int32_t code_point = -1;  // -1: a byte that is no UTF-8, which stands alone
};

// The character that begins at `at`, which must be less than text.size().
Utf8Character Utf8At(std::string_view text, std::size_t at);
// The character that ends before `end`, which must be at least 1.
Utf8Character Utf8Before(std::string_view text, std::size_t end);

// The Unicode property White_Space.
bool IsWhiteSpace(std::int32_t code_point);
// What \w means in UTS #18: letters and marks, decimal digits, connectors, joiners.
bool IsWordCharacter(std::int32_t code_point);

}  // namespace tributary::trainer
