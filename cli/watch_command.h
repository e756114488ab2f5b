// `tributary watch`: follows a campaign to its end.
#pragma once

#include <functional>
#include <string>

#include "cli/session.h"
#include "core/status.h"

namespace tributary::cli {

// Calls `show` with each status until the campaign has ended; the last one. Survives restarts of
// the server: reconnects for as long as `keep_going` says so.
Result<v1::CampaignStatus> FollowCampaign(
    const GlobalOptions& options, const std::string& campaign,
    const std::function<void(const v1::CampaignStatus&)>& show,
    const std::function<bool()>& keep_going);

// With --json: one status per line. Exit code 7 when the campaign ended otherwise than completed.
int WatchCommand(const GlobalOptions& options, const std::string& campaign);

}  // namespace tributary::cli
