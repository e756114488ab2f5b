// Pilots at this site: whether tasks go to them, and what they cost.
#pragma once

#include <memory>
#include <string>

#include "client/client_config.h"
#include "client/site_ledger.h"
#include "core/clock.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

// The adapter, with pilots before it where the site's file has a `job.pilot` section. Where it has
// none any more but pilots are on record in the default directory, they are drained: tasks that
// wait for them go on as jobs of their own. `program` is this program's absolute path. No pilot is
// submitted that the site's allocation has no room for, when `ledger` is given; it outlives the
// adapter.
Result<std::unique_ptr<scheduler_adapters::SchedulerAdapter>> WithPilots(
    const ClientConfig& config, const std::string& program,
    std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter, SiteLedger* ledger,
    const Clock& clock);

// Enters the idle time of pilots into the ledger, as entries without a campaign: what their tasks
// used is in the tasks' own entries, so that the sum is what the site was charged. Cheap; call it
// often.
Status RecordPilots(const ClientConfig& config, SiteLedger& ledger);

}  // namespace tributary::client
