#include "trainer/utf8.h"

#include <utf8proc.h>

#include <algorithm>

namespace tributary::trainer {
namespace {

bool IsBetween(std::int32_t value, std::int32_t low, std::int32_t high) {
  return low <= value && value <= high;
}

// Symbols (category So) that have the property Alphabetic: circled and squared letters.
bool IsLetterLikeSymbol(std::int32_t c) {
  return IsBetween(c, 0x24b6, 0x24e9) || IsBetween(c, 0x1f130, 0x1f149) ||
         IsBetween(c, 0x1f150, 0x1f169) || IsBetween(c, 0x1f170, 0x1f189);
}

}  // namespace

Utf8Character Utf8At(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {1, first};
  std::int32_t code_point = 0;
  const auto length =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                       static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
  if (length <= 0) return {};
  return {static_cast<std::size_t>(length), code_point};
}

Utf8Character Utf8Before(std::string_view text, std::size_t end) {
  for (std::size_t length = 1; length <= std::min<std::size_t>(4, end); ++length) {
    const Utf8Character character = Utf8At(text.substr(0, end), end - length);
    if (character.bytes == length && character.code_point >= 0) return character;
  }
  return {};
}

bool IsWhiteSpace(std::int32_t c) {
  return IsBetween(c, 0x09, 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         IsBetween(c, 0x2000, 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool IsWordCharacter(std::int32_t c) {
  if (c < 0) return false;
  if (c == 0x200c || c == 0x200d) return true;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return IsLetterLikeSymbol(c);
  }
}

}  // namespace tributary::trainer
