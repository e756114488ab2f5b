#include "cli/demo_output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "cli/watch_view.h"

namespace tributary::cli {
namespace {

constexpr std::chrono::seconds kLineInterval{10};
constexpr const char* kClearLine = "\r\x1b[2K";
constexpr std::size_t kIndent = 10;

std::size_t TerminalWidth() {
  winsize size{};
  constexpr std::size_t kUsual = 80;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

}  // namespace

DemoOutput::DemoOutput(bool quiet) : quiet_(quiet), terminal_(OutputIsTerminal()) {}

double DemoOutput::Seconds() const {
  return std::chrono::duration<double>(Steady::now() - began_).count();
}

void DemoOutput::Line(const std::string& text) const {
  std::printf("%s[%5.0f s] %s\n", drawn_ ? kClearLine : "", Seconds(), text.c_str());
  std::fflush(stdout);
}

void DemoOutput::Say(const std::string& text) {
  last_line_ = {};
  if (!quiet_) Line(text);
  drawn_ = false;
}

void DemoOutput::EndProgress() {
  if (drawn_) std::printf("%s", kClearLine);
  std::fflush(stdout);
  drawn_ = false;
}

void DemoOutput::Progress(const TrainersProgress& progress) {
  if (quiet_) return;
  if (terminal_) {
    // One that wraps could not be cleared again.
    const std::size_t width = TerminalWidth();
    const std::size_t room = width > kIndent + 1 ? width - kIndent - 1 : 1;
    std::printf("%s%*s%s", kClearLine, static_cast<int>(kIndent), "",
                progress.text.substr(0, room).c_str());
    std::fflush(stdout);
    drawn_ = true;
    return;
  }
  const auto now = Steady::now();
  if (!progress.news && now - last_line_ < kLineInterval) return;
  last_line_ = now;
  Line("  " + progress.text);
}

}  // namespace tributary::cli
