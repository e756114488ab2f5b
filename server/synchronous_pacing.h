// Synchronous rounds: every selected site trains from the same version; the round closes when all
// have reported, or at its deadline with a quorum. Late updates do not count.
#pragma once

#include <memory>

#include "server/pacing.h"

namespace tributary::server {

Result<std::unique_ptr<Pacing>> MakeSynchronousPacing(const CampaignFile& file);

}  // namespace tributary::server
