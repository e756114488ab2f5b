#include "core/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace tributary {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// Bytes of the well-formed character at the start of `text`; 0 when there is none.
std::size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  std::uint32_t code = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
    code = first & 0x1F;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    code = first & 0x0F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    code = first & 0x07;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return overlong || surrogate || code > 0x10FFFF ? 0 : length;
}

void AppendEscaped(unsigned char byte, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (byte) {
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    case '\\':
      *out += "\\\\";
      return;
    default:
      *out += "\\x";
      *out += kHex[byte >> 4];
      *out += kHex[byte & 15];
  }
}

// The code point of one well-formed character.
std::uint32_t CodeOf(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  std::uint32_t code = first & (0x7FU >> character.size());
  for (const char byte : character.substr(1)) {
    code = (code << 6) | (static_cast<unsigned char>(byte) & 0x3FU);
  }
  return code;
}

// Control characters (C0, C1), the separators that some viewers take for the end of a line, marks
// that turn the direction of what follows (CVE-2021-42574), and characters that are there and
// cannot be seen.
bool IsControl(std::string_view character) {
  const std::uint32_t code = CodeOf(character);
  const auto in = [code](std::uint32_t first, std::uint32_t last) {
    return code >= first && code <= last;
  };
  return in(0x00, 0x1F) || in(0x7F, 0x9F) || code == 0xAD || code == 0x61C || code == 0x180E ||
         code == 0x200B || in(0x200E, 0x200F) || in(0x2028, 0x202E) || in(0x2060, 0x206F) ||
         code == 0xFEFF || in(0xFFF9, 0xFFFB) || in(0xE0000, 0xE007F);
}

// `keep`: a control character or backslash that stays as it is.
std::string Escape(std::string_view text, std::string_view keep) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = CharacterBytes(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
    const bool stays = character.size() == 1 && keep.find(character[0]) != keep.npos;
    if (!stays && (length == 0 || character == "\\" || IsControl(character))) {
      for (const char byte : character) AppendEscaped(static_cast<unsigned char>(byte), &out);
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

std::string Bounded(std::string_view text, std::size_t max_bytes, std::string_view keep) {
  constexpr std::string_view kMore = "...";
  // What is escaped is never shorter than what it stands for: what lies further on cannot matter.
  std::string escaped = Escape(text.substr(0, max_bytes + 4), keep);
  if (escaped.size() <= max_bytes) return escaped;
  std::size_t end = max_bytes > kMore.size() ? max_bytes - kMore.size() : 0;
  while (end > 0 && (static_cast<unsigned char>(escaped[end]) & 0xC0) == 0x80) --end;
  escaped.resize(end);
  escaped.append(kMore.substr(0, max_bytes - end));
  return escaped;
}

// Optimal string alignment distance: insert, delete, replace, swap neighbours.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before_last, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = CharacterBytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string EscapeControl(std::string_view text) { return Escape(text, ""); }

std::string Excerpt(std::string_view text, std::size_t max_bytes) {
  return Bounded(text, max_bytes, "\\");
}

std::string Printable(std::string_view text, std::size_t max_bytes) {
  return Bounded(text, max_bytes, "\\");
}

std::string PrintableLines(std::string_view text, std::size_t max_bytes) {
  return Bounded(text, max_bytes, "\\\n");
}

std::string Trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t at = text.find_first_not_of(kSpace); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kSpace, at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(kSpace, end);
  }
  return words;
}

std::optional<std::string> NearestName(std::string_view word,
                                       std::span<const std::string> candidates) {
  constexpr std::size_t kLongestWord = 128;
  if (word.size() > kLongestWord) return std::nullopt;
  const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
  std::optional<std::string> nearest;
  std::size_t least = allowed + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongestWord) continue;
    const std::size_t distance = EditDistance(word, candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace tributary
