// What a tokenizer does to text before it looks for tokens: the "normalizer" of tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tributary::trainer {

enum class UnicodeForm : std::uint8_t { kNfc, kNfd, kNfkc, kNfkd };

// Bytes that are no UTF-8 stay as they are; what stands between them is brought into the form.
std::string ToUnicodeForm(std::string_view text, UnicodeForm form);

struct NormalizerStep {
  enum class Kind : std::uint8_t { kUnicode, kPrepend, kReplace } kind = Kind::kUnicode;
  UnicodeForm form = UnicodeForm::kNfc;  // kUnicode
  std::string pattern;                   // kReplace: what is replaced, not empty
  std::string content;                   // kReplace: by what; kPrepend: what text that is not empty
                                         // gets in front
};

// Applies the steps in order. Without `prepend`, kPrepend does nothing: the text continues another.
std::string Normalize(std::string_view text, const std::vector<NormalizerStep>& steps,
                      bool prepend = true);

}  // namespace tributary::trainer
