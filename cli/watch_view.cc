#include "cli/watch_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "cli/output.h"
#include "core/clock.h"
#include "core/count_text.h"
#include "core/text.h"

namespace tributary::cli {
namespace {

constexpr int kWatchedRounds = 5;
constexpr int kBarWidth = 20;

// How many of `parts` are done; numbers of a peer may be any.
int PartsDone(std::int64_t step, std::int64_t steps, int parts) {
  if (steps <= 0 || step <= 0) return 0;
  const double share = static_cast<double>(step) / static_cast<double>(steps);
  return static_cast<int>(std::min(1.0, share) * parts);
}

std::string Bar(std::int64_t step, std::int64_t steps) {
  const int full = PartsDone(step, steps, kBarWidth);
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(kBarWidth - full), '.') + "]";
}

// "21 14:05" UTC: day and minute are what a wait in a queue is known to.
std::string ClockTime(std::int64_t micros) {
  const std::string text = FormatTimestamp(TimestampFromMicros(micros));  // 2026-11-21T14:05:...
  return text.substr(8, 2) + " " + text.substr(11, 5);
}

std::string AnswerText(const v1::SiteAnswer& answer) {
  return answer.site() + " " + answer.answer() + (answer.reason().empty() ? "" : ": ") +
         answer.reason();
}

// ", away since 21 14:05"; nothing for a site that is connected, or between two of its visits.
std::string AwayText(const v1::SiteAnswer& answer) {
  if (!answer.away()) return "";
  if (answer.visit_seconds() > 0) {
    return ", overdue: its last visit was " + ClockTime(answer.last_seen_us());
  }
  if (answer.last_seen_us() == 0) return ", away (not seen since the server started)";
  return ", away since " + ClockTime(answer.last_seen_us());
}

std::string LossText(double loss) { return loss == 0 ? "" : "loss " + NumberText(loss, 4); }

std::string TaskLine(const v1::TaskStatus& task) {
  const std::string head =
      Format("  %-20s %-9s %-12s", task.site().c_str(), task.kind().c_str(), task.phase().c_str());
  if (task.start_p50_us() > 0) {
    return head + Format(" start expected %s (8 of 10 by %s)",
                         ClockTime(task.start_p50_us()).c_str(),
                         ClockTime(task.start_p80_us()).c_str());
  }
  // Why it does not run.
  const bool waits = task.phase() == "queued" || task.phase() == "held" ||
                     task.phase() == "unknown" || task.phase() == "submitting" ||
                     task.phase() == "suspended" || task.phase() == "waiting for room";
  if (waits && !task.message().empty()) return head + " " + EscapeControl(task.message());
  // Why it is not whole.
  const bool short_of = task.phase() == "partial" || task.phase() == "failed";
  const std::string why = short_of && !task.message().empty() ? "  " + task.message() : "";
  if (task.kind() != "train") return head + why;
  return head +
         Format(" %s step %lld/%lld  %s", Bar(task.step(), task.steps()).c_str(),
                static_cast<long long>(task.step()), static_cast<long long>(task.steps()),
                LossText(task.loss()).c_str()) +
         why;
}

// Who was asked for an evaluation and has none: a mean without them is not the mean with them.
std::string MissingText(const v1::RoundStatus& round) {
  std::string text;
  for (const v1::MissingEvaluation& missing : round.missing_evaluations()) {
    text += (text.empty() ? "" : ", ") + missing.site() + " " +
            (missing.outcome() == "outstanding" ? "evaluates" : missing.outcome()) +
            (missing.reason().empty() ? "" : ": ") + missing.reason();
  }
  return text.empty() ? "" : "  without " + text;
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
    text += Format("  %s %s (mean of %d", name.c_str(),
                   NumberText(mean.first / mean.second, 4).c_str(), mean.second);
    const int asked = mean.second + round.missing_evaluations_size();
    text += asked > mean.second ? Format(" of %d)", asked) : ")";
  }
  return text + MissingText(round);
}

std::string PartialText(int partial, int accepted) {
  if (partial == 0) return "";
  const std::string text = Format(" (%d partial", partial);
  return text + (2 * partial > accepted ? ": is walltime too short?)" : ")");
}

std::string RoundLine(const v1::RoundStatus& round) {
  std::string text = Format("  round %-3lld", static_cast<long long>(round.round()));
  if (round.closed_at_us() == 0) return text + " open";
  int accepted = 0;
  int partial = 0;
  std::uint64_t bytes = 0;
  std::string others;
  for (const v1::Contribution& c : round.contributions()) {
    if (c.outcome() == "accepted" || c.outcome() == "partial") {
      ++accepted;
      bytes += c.bytes();
      if (c.staleness() > 0) {
        others += "  " + c.site() + " from " + CountText(c.staleness(), "version") + " before";
      }
      if (c.outcome() == "accepted") continue;
      ++partial;
      others +=
          Format("  %s partial, %lld of %lld steps", c.site().c_str(),
                 static_cast<long long>(c.steps()), static_cast<long long>(c.planned_steps())) +
          (c.reason().empty() ? "" : ": ") + c.reason();
    } else {
      others += "  " + c.site() + " " + c.outcome() + (c.reason().empty() ? "" : ": ") + c.reason();
    }
  }
  const double seconds =
      (static_cast<double>(round.closed_at_us()) - static_cast<double>(round.opened_at_us())) *
      1e-6;
  return text +
         Format(" %7s  %s%s, %s  train loss %s", SecondsText(seconds).c_str(),
                CountText(accepted, "update").c_str(), PartialText(partial, accepted).c_str(),
                BytesText(bytes).c_str(), NumberText(round.mean_loss(), 4).c_str()) +
         MetricsText(round) + others;
}

// "  alpha computes on cuda, NVIDIA H100, 61.2 GB at most", as the last round that has it says.
std::string DeviceLines(const v1::CampaignStatus& status) {
  std::map<std::string, std::string> devices;
  for (const v1::RoundStatus& round : status.round_history()) {
    for (const v1::Contribution& c : round.contributions()) {
      if (c.device().empty()) continue;
      devices[c.site()] = c.device();
      if (c.peak_memory_bytes() > 0) {
        devices[c.site()] +=
            ", " + BytesText(static_cast<std::uint64_t>(c.peak_memory_bytes())) + " at most";
      }
    }
  }
  std::string text;
  for (const auto& [site, device] : devices) text += "  " + site + " computes on " + device + "\n";
  return text;
}

}  // namespace

std::string PhaseText(const v1::CampaignStatus& status) {
  return status.phase() + (status.paused() ? " (paused)" : "");
}

std::string RenderStatus(const v1::CampaignStatus& said, int max_rounds) {
  const v1::CampaignStatus status = Shown(said);
  std::string text =
      Format("campaign %s: %s, round %lld of %lld, version %lld\n", status.campaign().c_str(),
             PhaseText(status).c_str(), static_cast<long long>(status.round()),
             static_cast<long long>(status.rounds()), static_cast<long long>(status.version()));
  if (!status.note().empty()) text += "  " + status.note() + "\n";
  for (const v1::SiteAnswer& answer : status.answers()) {
    if (answer.answer() == "accepted" && !answer.away()) continue;
    text += "  " + AnswerText(answer) + AwayText(answer) + "\n";
  }
  std::vector<std::int64_t> removed;
  for (const v1::VersionInfo& version : status.versions()) {
    if (version.removed()) removed.push_back(version.version());
    if (version.damage().empty() || version.removed()) continue;
    text += Format("  version %lld cannot be used: ", static_cast<long long>(version.version())) +
            version.damage() + "\n";
  }
  if (!removed.empty() && max_rounds == 0) {
    text += Format(
        "  removed, as the server keeps so many (keep_versions, keep_every): %zu of versions %lld "
        "to "
        "%lld\n",
        removed.size(), static_cast<long long>(removed.front()),
        static_cast<long long>(removed.back()));
  }
  if (status.rounds_left_out() > 0 && max_rounds == 0) {
    const auto last = static_cast<long long>(status.rounds_left_out());
    text += (last == 1 ? "  round 1 is" : Format("  rounds 1 to %lld are", last)) +
            " not shown; --rounds says which are\n";
  }
  const int rounds = status.round_history_size();
  for (int i = max_rounds == 0 ? 0 : std::max(0, rounds - max_rounds); i < rounds; ++i) {
    text += RoundLine(status.round_history(i)) + "\n";
  }
  if (max_rounds == 0) text += DeviceLines(status);
  for (const v1::TaskStatus& task : status.tasks()) text += TaskLine(task) + "\n";
  return text;
}

std::vector<std::string> LineReporter::Update(const v1::CampaignStatus& said) {
  const v1::CampaignStatus status = Shown(said);
  std::vector<std::string> lines;
  const auto say = [&](const std::string& thing, const std::string& key, const std::string& line) {
    std::string& last = seen_[thing];
    if (last == key) return;
    last = key;
    lines.push_back(line);
  };
  for (const v1::SiteAnswer& answer : status.answers()) {
    say("answer " + answer.site(), answer.answer(), "site " + AnswerText(answer));
    const bool ended = status.phase() == "completed" || status.phase() == "cancelled";
    if (answer.away()) {
      say("away " + answer.site(), "away", "site " + answer.site() + AwayText(answer));
    } else if (!ended && seen_.contains("away " + answer.site())) {
      say("away " + answer.site(), "here", "site " + answer.site() + " is connected again");
    }
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
    const int quarter = PartsDone(task.step(), task.steps(), 4);
    say(task.task(), task.phase() + std::to_string(quarter), TaskLine(task).substr(2));
  }
  say("campaign", PhaseText(status) + status.note(),
      "campaign " + status.campaign() + ": " + PhaseText(status) +
          (status.note().empty() ? "" : ": ") + status.note());
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
    // A line that is too long for the terminal would take two of it.
    std::printf("\x1b[2K%s\n", Printable(text.substr(at, end - at), width - 1).c_str());
    ++drawn_lines_;
    at = end + 1;
  }
  std::printf("\x1b[J");  // what an earlier, longer picture left below
  std::fflush(stdout);
}

bool OutputIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

}  // namespace tributary::cli
