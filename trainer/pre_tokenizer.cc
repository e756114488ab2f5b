#define PCRE2_CODE_UNIT_WIDTH 8
#include "trainer/pre_tokenizer.h"

#include <pcre2.h>

#include <utility>

#include "trainer/regex_dialect.h"

namespace tributary::trainer {
namespace {

std::string Pcre2Text(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct PreTokenizer::Compiled {
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  ~Compiled() {
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
};

PreTokenizer::PreTokenizer(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

Result<PreTokenizer> PreTokenizer::Create(std::string_view pattern) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string translated, OnigurumaToPcre2(pattern));
  auto compiled = std::make_unique<Compiled>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  // MATCH_INVALID_UTF: bytes that are no UTF-8 match nothing and come out between the matches.
  compiled->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &offset, nullptr);
  if (compiled->code == nullptr) {
    return InvalidArgumentError("pre-tokenizer pattern, at byte " + std::to_string(offset) + ": " +
                                Pcre2Text(error));
  }
  // Without just-in-time compilation matching is slower and gives the same.
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);
  compiled->match = pcre2_match_data_create_from_pattern(compiled->code, nullptr);
  if (compiled->match == nullptr) return ResourceExhaustedError("no memory for the pre-tokenizer");
  return PreTokenizer(std::move(compiled));
}

Result<std::vector<PreTokenizer::Span>> PreTokenizer::Matches(std::string_view text) const {
  std::vector<Span> matches;
  std::size_t from = 0;
  while (from < text.size()) {
    const int count = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), from, 0, compiled_->match, nullptr);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) return InvalidArgumentError("pre-tokenizer: " + Pcre2Text(count));
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(compiled_->match);
    if (span[1] <= span[0]) {  // a pattern that matches nothing: step over one byte
      from = span[0] + 1;
      continue;
    }
    matches.push_back({span[0], span[1]});
    from = span[1];
  }
  return matches;
}

Result<std::vector<std::string_view>> PreTokenizer::Split(std::string_view text) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Span> matches, Matches(text));
  std::vector<std::string_view> pieces;
  std::size_t done = 0;
  for (const Span& match : matches) {
    if (match.begin > done) pieces.push_back(text.substr(done, match.begin - done));
    pieces.push_back(text.substr(match.begin, match.end - match.begin));
    done = match.end;
  }
  if (done < text.size()) pieces.push_back(text.substr(done));
  return pieces;
}

}  // namespace tributary::trainer
