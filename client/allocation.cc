#include "client/allocation.h"

#include <algorithm>
#include <cstdio>

namespace tributary::client {
namespace {

std::string Amount(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

Status CheckLimit(const AllocationSection& allocation, const std::string& whose, double limit,
                  const Spending& spent, double cost) {
  if (limit <= 0 || spent.used + spent.pending + cost <= limit) return OkStatus();
  return ResourceExhaustedError("the site's allocation for " + whose +
                                " does not hold this job: " + Amount(limit) + " " +
                                allocation.unit + ", " + Amount(spent.used) + " used, " +
                                Amount(spent.pending) + " pending, " + Amount(cost) + " needed");
}

}  // namespace

double Cost(const AllocationSection& allocation, const JobEntry& job, std::chrono::seconds time) {
  const std::int64_t units = allocation.unit == "gpu-hours"    ? job.gpus
                             : allocation.unit == "core-hours" ? job.cpus
                                                               : job.nodes;
  const double hours = std::chrono::duration<double, std::ratio<3600>>(time).count();
  return static_cast<double>(units) * hours * allocation.factor;
}

Spending Sum(const AllocationSection& allocation, const std::vector<JobEntry>& jobs) {
  Spending sum;
  for (const JobEntry& job : jobs) {
    if (job.campaign.empty()) sum.idle += Cost(allocation, job, job.charged);
    if (job.ended) {
      sum.used += Cost(allocation, job, job.charged);
    } else {
      sum.pending += Cost(allocation, job, job.walltime);
    }
  }
  return sum;
}

Status CheckAllocation(const AllocationSection& allocation, SiteLedger& ledger, const JobEntry& job,
                       Pending pending) {
  if (allocation.per_campaign <= 0 && allocation.total <= 0) return OkStatus();
  const double cost = Cost(allocation, job, job.walltime);
  const auto spent = [&](const std::optional<std::string>& campaign) -> Result<Spending> {
    TRIBUTARY_ASSIGN_OR_RETURN(std::vector<JobEntry> jobs, ledger.Jobs(campaign));
    std::erase_if(jobs, [&](const JobEntry& other) { return other.name == job.name; });
    Spending sum = Sum(allocation, jobs);
    if (pending == Pending::kMayComeBack) sum.pending = 0;
    return sum;
  };
  if (!job.campaign.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const Spending campaign, spent(job.campaign));
    TRIBUTARY_RETURN_IF_ERROR(CheckLimit(allocation, "campaign " + job.campaign,
                                         allocation.per_campaign, campaign, cost));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const Spending all, spent(std::nullopt));
  return CheckLimit(allocation, "all campaigns", allocation.total, all, cost);
}

}  // namespace tributary::client
