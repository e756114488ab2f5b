#include "security/token_input.h"

#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/files.h"
#include "core/text.h"

namespace tributary::security {
namespace {

constexpr std::size_t kMaxToken = 4096;

Result<std::string> FirstLine() {
  std::string line;
  char c = 0;
  while (line.size() <= kMaxToken) {
    const ssize_t got = read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("read standard input", errno);
    if (got == 0 || c == '\n') break;
    line += c;
  }
  return line;
}

// The terminal does not show what is typed, for as long as this lives.
class Hidden {
 public:
  Hidden() : changed_(tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (changed_) changed_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
  }
  ~Hidden() {
    if (!changed_) return;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    std::fputc('\n', stderr);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  termios before_{};
  bool changed_;
};

Result<std::string> Ask() {
  if (isatty(STDIN_FILENO) == 0) return FirstLine();
  std::fputs("token: ", stderr);
  std::fflush(stderr);
  const Hidden hidden;
  return FirstLine();
}

}  // namespace

Result<std::string> ReadToken(const TokenSource& source) {
  std::string text = source.token;
  if (text.empty() && !source.file.empty() && source.file != "-") {
    TRIBUTARY_ASSIGN_OR_RETURN(text, ReadFile(source.file, kMaxToken).Annotate("--token-file"));
  } else if (text.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(text, Ask());
  }
  std::string token = Trimmed(text);
  if (!token.empty()) return token;
  return InvalidArgumentError(
      "there is no token; give it with --token-file FILE, in TRIBUTARY_TOKEN, or on standard "
      "input");
}

}  // namespace tributary::security
