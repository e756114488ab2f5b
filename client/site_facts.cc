#include "client/site_facts.h"

#include <map>

#include "client/allocation.h"
#include "client/forecast.h"

namespace tributary::client {
namespace {

void AddAllocation(const AllocationSection& section, const std::string& campaign, double limit,
                   const std::vector<JobEntry>& jobs, v1::SiteFacts* facts) {
  const Spending spent = Sum(section, jobs);
  v1::Allocation* allocation = facts->add_allocations();
  allocation->set_campaign(campaign);
  allocation->set_unit(section.unit);
  allocation->set_used(spent.used);
  allocation->set_pending(spent.pending);
  allocation->set_limit(limit);
  allocation->set_idle(spent.idle);
}

}  // namespace

Result<v1::SiteFacts> MakeSiteFacts(const ClientConfig& config, SiteLedger& ledger) {
  v1::SiteFacts facts;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<JobEntry> jobs, ledger.Jobs());
  std::map<std::string, std::vector<JobEntry>> campaigns;
  for (const JobEntry& job : jobs) {
    if (!job.campaign.empty()) campaigns[job.campaign].push_back(job);
  }
  for (const auto& [campaign, its_jobs] : campaigns) {
    AddAllocation(config.allocation, campaign, config.allocation.per_campaign, its_jobs, &facts);
  }
  AddAllocation(config.allocation, "", config.allocation.total, jobs, &facts);

  TRIBUTARY_ASSIGN_OR_RETURN(const auto forecast,
                             MakeForecast(ledger, config.job.queue, config.job.nodes, {}));
  if (!forecast) return facts;
  TRIBUTARY_ASSIGN_OR_RETURN(const ForecastScore score, ScoreForecasts(ledger, config.job.queue));
  v1::StartForecast* said = facts.add_forecasts();
  said->set_queue(config.job.queue);
  said->set_p50_seconds(forecast->p50);
  said->set_p80_seconds(forecast->p80);
  said->set_p95_seconds(forecast->p95);
  said->set_waits(forecast->waits);
  said->set_judged(score.forecasts);
  said->set_within_p80(score.within_p80);
  said->set_median_error_seconds(score.median_error);
  return facts;
}

}  // namespace tributary::client
