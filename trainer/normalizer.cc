#include "trainer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "trainer/utf8.h"

namespace tributary::trainer {
namespace {

struct Free {
  void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
};

utf8proc_option_t Options(UnicodeForm form) {
  int options = UTF8PROC_STABLE;
  const bool composed = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  options |= composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

// `text` is UTF-8.
void AppendInForm(std::string_view text, UnicodeForm form, std::string* out) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, Options(form));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(mapped);
  if (size < 0) {  // out of memory, or a text of more than 2 GiB
    out->append(text);
    return;
  }
  out->append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
}

std::string ReplaceAll(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = text.find(pattern); at != std::string_view::npos;
       at = text.find(pattern, done)) {
    out.append(text.substr(done, at - done)).append(content);
    done = at + pattern.size();
  }
  return out.append(text.substr(done));
}

}  // namespace

std::string ToUnicodeForm(std::string_view text, UnicodeForm form) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return std::string(text);
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = Utf8At(text, at);
    if (character.code_point < 0) {
      AppendInForm(text.substr(begin, at - begin), form, &out);
      out.push_back(text[at]);
      begin = at + 1;
    }
    at += character.bytes;
  }
  AppendInForm(text.substr(begin), form, &out);
  return out;
}

std::string Normalize(std::string_view text, const std::vector<NormalizerStep>& steps,
                      bool prepend) {
  std::string out(text);
  for (const NormalizerStep& step : steps) {
    switch (step.kind) {
      case NormalizerStep::Kind::kUnicode:
        out = ToUnicodeForm(out, step.form);
        break;
      case NormalizerStep::Kind::kPrepend:
        if (prepend && !out.empty()) out.insert(0, step.content);
        break;
      case NormalizerStep::Kind::kReplace:
        out = ReplaceAll(out, step.pattern, step.content);
        break;
    }
  }
  return out;
}

}  // namespace tributary::trainer
