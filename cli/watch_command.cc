#include "cli/watch_command.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/output.h"
#include "cli/watch_view.h"
#include "core/config.h"
#include "core/late_round.h"
#include "proto/campaign_changes.h"

namespace tributary::cli {
namespace {

constexpr std::chrono::seconds kStreamLife{
    5};  // then keep_going is asked and the stream opened again

constexpr std::chrono::seconds kPatience{
    60};  // for a first word: a long history may be read before

constexpr std::chrono::seconds kReconnectPause{1};  // between two looks at keep_going

std::chrono::milliseconds StreamLife(
    const std::optional<std::chrono::steady_clock::time_point>& end, std::chrono::seconds most) {
  if (!end) return most;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      *end - std::chrono::steady_clock::now());
  return std::clamp<std::chrono::milliseconds>(left, std::chrono::milliseconds(500), most);
}

bool HasEnded(const v1::CampaignStatus& status) {
  return status.phase() == "completed" || status.phase() == "cancelled";
}

// The round from which on there is something to be heard of: those before are closed and evaluated.
std::int64_t FirstThatChanges(const v1::CampaignStatus& status) {
  std::int64_t first = status.round() + 1;
  for (const v1::RoundStatus& round : status.round_history()) {
    if (round.round() + kLateAfterRounds < status.round()) continue;  // it may wait for ever
    const bool waits = std::any_of(
        round.missing_evaluations().begin(), round.missing_evaluations().end(),
        [](const v1::MissingEvaluation& missing) { return missing.outcome() == "outstanding"; });
    const bool last = round.round() == status.round();  // what it closed without moves on
    if (round.closed_at_us() == 0 || waits || last) first = std::min(first, round.round());
  }
  return first;
}

}  // namespace

Result<v1::CampaignStatus> FollowCampaign(
    const GlobalOptions& options, const std::string& campaign,
    const std::function<void(const v1::CampaignStatus&)>& show,
    const std::function<bool()>& keep_going,
    std::optional<std::chrono::steady_clock::time_point> end) {
  TRIBUTARY_ASSIGN_OR_RETURN(Session session, Session::Open(options));
  v1::CampaignRequest request;
  request.set_campaign(campaign);
  request.set_changes(true);
  v1::CampaignStatus status;  // all that is known
  bool seen = false;
  std::chrono::seconds life = kStreamLife;
  while (keep_going()) {
    if (seen) request.set_rounds_from(FirstThatChanges(status));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + StreamLife(end, life));
    const auto reader = session.control().Watch(&context, request);
    v1::CampaignStatus message;
    bool heard = false;  // of this stream
    while (reader->Read(&message)) {
      // A server that does not know of changes sends it whole each time.
      if (seen) {
        MergeChanges(message, &status);
      } else {
        status = message;
      }
      seen = heard = true;
      show(status);
      if (!keep_going()) context.TryCancel();
    }
    const Status finished = session.Outcome(reader->Finish());
    if (seen && HasEnded(status)) return status;
    const bool silent = finished.code() == StatusCode::kDeadlineExceeded && !heard;
    // Before the first word an unreachable server is an error; afterwards it may be restarting.
    const bool away = finished.ok() || finished.code() == StatusCode::kUnavailable ||
                      finished.code() == StatusCode::kDeadlineExceeded ||
                      finished.code() == StatusCode::kCancelled ||
                      finished.code() == StatusCode::kResourceExhausted ||
                      finished.code() == StatusCode::kUnknown;
    if (!away || (!seen && (!silent || life == kPatience))) {
      return finished.ok() ? UnavailableError("the server went away") : finished;
    }
    life = silent ? std::min(2 * life, kPatience) : kStreamLife;
    if (!heard && !silent) std::this_thread::sleep_for(kReconnectPause);
    while (keep_going() && !session.channel()->WaitForConnected(std::chrono::system_clock::now() +
                                                                kReconnectPause)) {
    }
  }
  return CancelledError("no longer watching");
}

int WatchCommand(const GlobalOptions& options, const WatchOptions& what) {
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> end;
  if (!what.timeout.empty()) {
    const auto timeout = ParseDuration(what.timeout);
    if (!timeout.ok()) return Fail(timeout.status().Annotate("--timeout"), options.json);
    end = Clock::now() + *timeout;
  }
  WatchPrinter printer(OutputIsTerminal());
  bool paused = false;
  const auto last = FollowCampaign(
      options, what.campaign,
      [&](const v1::CampaignStatus& status) {
        paused = status.paused();
        if (options.json) {
          PrintJson(ToJson(status), /*indent=*/-1);
        } else {
          printer.Show(status);
        }
      },
      [&] { return (!end || Clock::now() < *end) && !(what.until_paused && paused); }, end);
  if (last.status().code() == StatusCode::kCancelled) return paused ? kExitPaused : kExitTimeout;
  if (!last.ok()) return Fail(last.status(), options.json);
  return last->phase() == "completed" ? kExitOk : kExitCampaignEnded;
}

}  // namespace tributary::cli
