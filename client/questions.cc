#include "client/questions.h"

#include <optional>

#include "core/text.h"

namespace tributary::client {
namespace {

constexpr std::size_t kMaxAnswer = 4096;

// Nothing at the end of the input.
std::optional<std::string> ReadLine(std::FILE* in) {
  std::string line;
  int c = EOF;
  while ((c = std::fgetc(in)) != EOF && c != '\n') {
    if (line.size() < kMaxAnswer) line += static_cast<char>(c);
  }
  if (c == EOF && line.empty()) return std::nullopt;
  return line;
}

}  // namespace

Result<std::string> Questions::Ask(const std::string& question, const std::string& fallback,
                                   const Check& check) {
  if (in_ == nullptr) {
    std::string answer = fallback;
    TRIBUTARY_RETURN_IF_ERROR(check(&answer).Annotate(question));
    return answer;
  }
  while (true) {
    std::fprintf(out_, "%s%s: ", question.c_str(),
                 fallback.empty() ? "" : (" [" + Printable(fallback) + "]").c_str());
    std::fflush(out_);
    const auto line = ReadLine(in_);
    if (!line) return CancelledError(question + ": no more answers; nothing was written");
    std::string answer = Trimmed(*line);
    if (answer.empty()) answer = fallback;
    const Status status = check(&answer);
    if (status.ok()) return answer;
    Say("  " + status.message());
  }
}

void Questions::Say(const std::string& line) {
  std::fprintf(out_, "%s\n", PrintableLines(line).c_str());
  std::fflush(out_);
}

}  // namespace tributary::client
