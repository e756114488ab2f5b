#include "trainer/regex_dialect.h"

namespace tributary::trainer {
namespace {

constexpr std::string_view kSpace = R"(\p{White_Space})";  // PCRE2's \s has U+180E too
constexpr std::string_view kNotSpace = R"(\P{White_Space})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";  // PCRE2's lacks marks

Status NotTranslated(std::string_view what) {
  return InvalidArgumentError("pattern: " + std::string(what) +
                              " has another meaning here and is not supported");
}

// What stands for the escape \`letter`; empty: itself.
Result<std::string> Translate(char letter, bool in_class) {
  switch (letter) {
    case 's':
      return std::string(kSpace);
    case 'S':
      return std::string(kNotSpace);
    case 'w':
      return in_class ? std::string(kWord) : "[" + std::string(kWord) + "]";
    case 'W':
      if (in_class) return NotTranslated(R"(\W inside [])");
      return "[^" + std::string(kWord) + "]";
    case 'b':
    case 'B':
    case 'h':
    case 'H':
      return NotTranslated(std::string("\\") + letter);
    default:
      return std::string();
  }
}

}  // namespace

Result<std::string> OnigurumaToPcre2(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char letter = pattern[++i];
      TRIBUTARY_ASSIGN_OR_RETURN(const std::string translated, Translate(letter, in_class));
      out += translated.empty() ? std::string("\\") + letter : translated;
      continue;
    }
    if (in_class && c == '&' && pattern.substr(i).starts_with("&&")) return NotTranslated("&&");
    if (in_class && c == '[' && !pattern.substr(i).starts_with("[:")) {
      return NotTranslated("[ inside []");
    }
    if (c == '[' && !in_class) {
      in_class = true;
      // A ] that comes first is a member of the class.
      out += c;
      if (pattern.substr(i + 1).starts_with("^")) out += pattern[++i];
      if (pattern.substr(i + 1).starts_with("]")) out += pattern[++i];
      continue;
    }
    if (c == '[') {  // a POSIX class, whole
      const std::size_t end = pattern.find(":]", i);
      if (end == std::string_view::npos) return NotTranslated("[:");
      out += pattern.substr(i, end + 2 - i);
      i = end + 1;
      continue;
    }
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

}  // namespace tributary::trainer
