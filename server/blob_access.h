// What of the stored blobs people and sites may come to read.
#pragma once

#include "core/sha256.h"
#include "core/status.h"
#include "server/campaign_state.h"

namespace tributary::server {

// Versions, what they add to the base weights, and the state vectors that tasks may ask for.
bool IsDownloadable(const Campaign& campaign, const Digest& digest);

// Whether a campaign may begin with this blob. Its version 0 is for all to read, and the digests of
// updates are for all to see: permission denied for what a site sent.
Status CheckMayBeginWith(const State& state, const Digest& digest);

}  // namespace tributary::server
