#include "cli/watch_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "cli/output.h"
#include "core/clock.h"
#include "core/text.h"

namespace tributary::cli {
namespace {

constexpr int kWatchedRounds = 5;
constexpr int kBarWidth = 20;

[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string Bar(std::int64_t step, std::int64_t steps) {
  const std::int64_t full =
      steps > 0 ? std::clamp<std::int64_t>(kBarWidth * step / steps, 0, kBarWidth) : 0;
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(kBarWidth - full), '.') + "]";
}

std::string LossText(double loss) { return loss == 0 ? "" : Format("loss %.4f", loss); }

// "21 14:05" UTC: day and minute are what a wait in a queue is known to.
std::string ClockTime(std::int64_t micros) {
  const std::string text = FormatTimestamp(TimestampFromMicros(micros));  // 2026-11-21T14:05:...
  return text.substr(8, 2) + " " + text.substr(11, 5);
}

std::string TaskLine(const v1::TaskStatus& task) {
  const std::string head = Format("  %-20s %-9s %-12s", task.site().c_str(), task.kind().c_str(),
                                  EscapeControl(task.phase()).c_str());
  if (task.start_p50_us() > 0) {
    return head + Format(" start expected %s (8 of 10 by %s)",
                         ClockTime(task.start_p50_us()).c_str(),
                         ClockTime(task.start_p80_us()).c_str());
  }
  if (task.kind() != "train") return head;
  return head + Format(" %s step %lld/%lld  %s", Bar(task.step(), task.steps()).c_str(),
                       static_cast<long long>(task.step()), static_cast<long long>(task.steps()),
                       LossText(task.loss()).c_str());
}

// The mean over the sites of each metric: "loss/heldout 4.12".
std::string MetricsText(const v1::RoundStatus& round) {
  std::map<std::string, std::pair<double, int>> means;
  for (const auto& [name, value] : round.metrics()) {
    const std::size_t slash = name.find('/');
    const std::string metric = name.substr(slash == std::string::npos ? 0 : slash + 1);
    if (!metric.starts_with("loss/")) continue;
    means[metric].first += value;
    means[metric].second += 1;
  }
  std::string text;
  for (const auto& [name, mean] : means) {
    text += Format("  %s %.4f (mean of %d)", EscapeControl(name).c_str(), mean.first / mean.second,
                   mean.second);
  }
  return text;
}

std::string RoundLine(const v1::RoundStatus& round) {
  std::string text = Format("  round %-3lld", static_cast<long long>(round.round()));
  if (round.closed_at_us() == 0) return text + " open";
  int accepted = 0;
  std::uint64_t bytes = 0;
  std::string others;
  for (const v1::Contribution& c : round.contributions()) {
    if (c.outcome() == "accepted" || c.outcome() == "partial") {
      ++accepted;
      bytes += c.bytes();
    } else {
      others += "  " + c.site() + " " + c.outcome() + (c.reason().empty() ? "" : ": ") + c.reason();
    }
  }
  const double seconds = static_cast<double>(round.closed_at_us() - round.opened_at_us()) * 1e-6;
  return text +
         Format(" %7s  %d updates, %s  train loss %.4f", SecondsText(seconds).c_str(), accepted,
                BytesText(bytes).c_str(), round.mean_loss()) +
         MetricsText(round) + others;
}

}  // namespace

std::string PhaseText(const v1::CampaignStatus& status) {
  return status.phase() + (status.paused() ? " (paused)" : "");
}

std::string RenderStatus(const v1::CampaignStatus& status, int max_rounds) {
  std::string text =
      Format("campaign %s: %s, round %lld of %lld, version %lld\n", status.campaign().c_str(),
             PhaseText(status).c_str(), static_cast<long long>(status.round()),
             static_cast<long long>(status.rounds()), static_cast<long long>(status.version()));
  if (!status.note().empty()) text += "  " + EscapeControl(status.note()) + "\n";
  for (const v1::SiteAnswer& answer : status.answers()) {
    if (answer.answer() == "accepted") continue;
    text +=
        "  " + answer.site() + " " + answer.answer() + " " + EscapeControl(answer.reason()) + "\n";
  }
  const int rounds = status.round_history_size();
  for (int i = max_rounds == 0 ? 0 : std::max(0, rounds - max_rounds); i < rounds; ++i) {
    text += RoundLine(status.round_history(i)) + "\n";
  }
  for (const v1::TaskStatus& task : status.tasks()) text += TaskLine(task) + "\n";
  return text;
}

std::vector<std::string> LineReporter::Update(const v1::CampaignStatus& status) {
  std::vector<std::string> lines;
  const auto say = [&](const std::string& thing, const std::string& key, const std::string& line) {
    std::string& last = seen_[thing];
    if (last == key) return;
    last = key;
    lines.push_back(line);
  };
  for (const v1::SiteAnswer& answer : status.answers()) {
    say("answer " + answer.site(), answer.answer(),
        "site " + answer.site() + " " + answer.answer() + (answer.reason().empty() ? "" : ": ") +
            EscapeControl(answer.reason()));
  }
  for (const v1::RoundStatus& round : status.round_history()) {
    const std::string name = "round " + std::to_string(round.round());
    const bool closed = round.closed_at_us() != 0;
    // Evaluations come in one by one: said when all sites have answered, or not at all.
    const bool evaluated =
        round.metrics_size() > 0 &&
        status.tasks().end() ==
            std::find_if(status.tasks().begin(), status.tasks().end(),
                         [&](const v1::TaskStatus& t) {
                           return t.kind() == "evaluate" &&
                                  t.task().find(".r" + std::to_string(round.round()) + ".") !=
                                      std::string::npos;
                         });
    say(name, closed ? "closed" : "open",
        closed ? RoundLine(round).substr(2)
               : name + " of " + std::to_string(status.rounds()) + " open");
    if (evaluated) say(name + " evaluated", "yes", name + " evaluated:" + MetricsText(round));
  }
  for (const v1::TaskStatus& task : status.tasks()) {
    const std::int64_t quarter = task.steps() > 0 ? 4 * task.step() / task.steps() : 0;
    say(task.task(), task.phase() + std::to_string(quarter), TaskLine(task).substr(2));
  }
  say("campaign", PhaseText(status) + status.note(),
      "campaign " + status.campaign() + ": " + PhaseText(status) +
          (status.note().empty() ? "" : ": ") + EscapeControl(status.note()));
  return lines;
}

void WatchPrinter::Show(const v1::CampaignStatus& status) {
  if (!terminal_) {
    for (const std::string& line : lines_.Update(status)) PrintLine(line);
    return;
  }
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  const std::size_t width = known ? size.ws_col : 80;
  if (drawn_lines_ > 0) std::printf("\x1b[%dA", drawn_lines_);
  drawn_lines_ = 0;
  const std::string text = RenderStatus(status, kWatchedRounds);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    std::printf("\x1b[2K%s\n", text.substr(at, std::min(end - at, width - 1)).c_str());
    ++drawn_lines_;
    at = end + 1;
  }
  std::printf("\x1b[J");  // what an earlier, longer picture left below
  std::fflush(stdout);
}

bool OutputIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

}  // namespace tributary::cli
