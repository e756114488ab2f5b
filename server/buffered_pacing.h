// Buffered asynchronous rounds, as FedBuff has them (arXiv:2106.06639; with a buffer of one, as
// FedAsync, arXiv:1903.03934): every site always trains. A round closes as soon as it has
// pacing.quorum updates, whoever sent them, or at its deadline with what there is; the sites that
// sent them get the new version, and the others train on and count in a later round, each from the
// version that it was given. A site has one task at a time.
#pragma once

#include <memory>

#include "server/pacing.h"

namespace tributary::server {

// Invalid argument without a quorum, which is the size of the buffer.
Result<std::unique_ptr<Pacing>> MakeBufferedPacing(const CampaignFile& file);

}  // namespace tributary::server
