#include "cli/watch_command.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/watch_view.h"

namespace tributary::cli {
namespace {

constexpr std::chrono::seconds kStreamLife{
    5};  // then keep_going is asked and the stream opened again

constexpr std::chrono::seconds kReconnectPause{1};  // between two looks at keep_going

bool HasEnded(const v1::CampaignStatus& status) {
  return status.phase() == "completed" || status.phase() == "cancelled";
}

}  // namespace

Result<v1::CampaignStatus> FollowCampaign(
    const GlobalOptions& options, const std::string& campaign,
    const std::function<void(const v1::CampaignStatus&)>& show,
    const std::function<bool()>& keep_going) {
  TRIBUTARY_ASSIGN_OR_RETURN(Session session, Session::Open(options));
  v1::CampaignRequest request;
  request.set_campaign(campaign);
  bool seen = false;
  while (keep_going()) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kStreamLife);
    const auto reader = session.control().Watch(&context, request);
    v1::CampaignStatus status;
    while (reader->Read(&status)) {
      seen = true;
      show(status);
      if (!keep_going()) context.TryCancel();
    }
    const Status finished = FromGrpc(reader->Finish());
    if (HasEnded(status)) return status;
    // Before the first word an unreachable server is an error; afterwards it may be restarting.
    const bool away = finished.ok() || finished.code() == StatusCode::kUnavailable ||
                      finished.code() == StatusCode::kDeadlineExceeded ||
                      finished.code() == StatusCode::kCancelled ||
                      finished.code() == StatusCode::kUnknown;
    if (!seen || !away) return finished.ok() ? UnavailableError("the server went away") : finished;
    while (keep_going() && !session.channel()->WaitForConnected(std::chrono::system_clock::now() +
                                                                kReconnectPause)) {
    }
  }
  return CancelledError("no longer watching");
}

int WatchCommand(const GlobalOptions& options, const std::string& campaign) {
  WatchPrinter printer(OutputIsTerminal());
  const auto last = FollowCampaign(
      options, campaign,
      [&](const v1::CampaignStatus& status) {
        if (options.json) {
          PrintJson(ToJson(status), /*indent=*/-1);
        } else {
          printer.Show(status);
        }
      },
      [] { return true; });
  if (!last.ok()) return Fail(last.status(), options.json);
  return last->phase() == "completed" ? kExitOk : kExitCampaignEnded;
}

}  // namespace tributary::cli
