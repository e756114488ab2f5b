// `tributary watch`: follows a campaign to its end.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cli/session.h"
#include "core/status.h"

namespace tributary::cli {

// Calls `show` with each status until the campaign has ended; the last one. Survives restarts of
// the server: reconnects for as long as `keep_going` says so. It is asked at least every five
// seconds, and at `end`.
Result<v1::CampaignStatus> FollowCampaign(
    const GlobalOptions& options, const std::string& campaign,
    const std::function<void(const v1::CampaignStatus&)>& show,
    const std::function<bool()>& keep_going,
    std::optional<std::chrono::steady_clock::time_point> end = std::nullopt);

struct WatchOptions {
  std::string campaign;
  std::string timeout;  // "90m"; empty: none
  bool until_paused = false;
};
// With --json: one status per line. Exit codes are in output.h: completed, ended otherwise, paused,
// or the timeout passed.
int WatchCommand(const GlobalOptions& options, const WatchOptions& what);

}  // namespace tributary::cli
