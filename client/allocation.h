// What campaigns cost this site, in the unit that its allocation is counted in, and what is left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/client_config.h"
#include "client/site_ledger.h"
#include "core/status.h"

namespace tributary::client {

// In the site's unit. Limits of 0 are none.
struct Spending {
  double used = 0;  // jobs that ended: what the scheduler accounts, or their time from start to end
  double pending = 0;  // jobs that did not end: at most their whole walltime
  double idle = 0;     // of both: pilots, while they had no task
};

// What a job of these nodes (cores, GPUs) costs in so much time.
double Cost(const AllocationSection& allocation, const JobEntry& job, std::chrono::seconds time);

Spending Sum(const AllocationSection& allocation, const std::vector<JobEntry>& jobs);

// Whether what jobs that did not end may still cost is counted.
enum class Pending : std::uint8_t {
  kCounts,
  kMayComeBack,  // no: they may cost less than their walltime
};

// Resource exhausted, with the numbers, when the job's walltime does not fit into what is left of
// the campaign's limit or the site's. A job that is in the ledger already is not counted twice.
Status CheckAllocation(const AllocationSection& allocation, SiteLedger& ledger, const JobEntry& job,
                       Pending pending = Pending::kCounts);

}  // namespace tributary::client
