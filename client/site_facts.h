// What a site tells the server about itself: its allocation and its forecasts.
#pragma once

#include "client/client_config.h"
#include "client/site_ledger.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// One allocation for each campaign with jobs on record, and one, without a name, for all together;
// one forecast for the queue that jobs go to, when there is any.
Result<v1::SiteFacts> MakeSiteFacts(const ClientConfig& config, SiteLedger& ledger);

}  // namespace tributary::client
