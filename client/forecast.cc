#include "client/forecast.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace tributary::client {
namespace {

constexpr std::int64_t kLookBack = 200;  // jobs
constexpr std::size_t kEnoughAlike = 8;  // waits of jobs of about the same size

double WaitOf(const JobEntry& job) {
  return std::max(0.0, std::chrono::duration<double>(*job.started - job.submitted).count());
}

std::vector<double> Waits(const std::vector<JobEntry>& jobs, std::int64_t nodes) {
  std::vector<double> alike, all;
  for (const JobEntry& job : jobs) {
    all.push_back(WaitOf(job));
    if (2 * job.nodes >= nodes && job.nodes <= 2 * nodes) alike.push_back(WaitOf(job));
  }
  return alike.size() >= kEnoughAlike ? alike : all;
}

}  // namespace

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - std::floor(at)) * (values[above] - values[below]);
}

Result<std::optional<Forecast>> MakeForecast(SiteLedger& ledger, const std::string& queue,
                                             std::int64_t nodes,
                                             std::optional<double> scheduler_says) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto jobs, ledger.Started(queue, kLookBack));
  const std::vector<double> waits = Waits(jobs, nodes);
  Forecast forecast;
  if (!waits.empty()) {
    forecast = {Quantile(waits, 0.5), Quantile(waits, 0.8), Quantile(waits, 0.95),
                static_cast<std::int64_t>(waits.size())};
  } else if (!scheduler_says) {
    return std::optional<Forecast>();
  }
  if (scheduler_says) {
    forecast.p50 = std::max(0.0, *scheduler_says);
    forecast.p80 = std::max(forecast.p80, forecast.p50);
    forecast.p95 = std::max(forecast.p95, forecast.p80);
  }
  return std::optional(forecast);
}

Result<ForecastScore> ScoreForecasts(SiteLedger& ledger, const std::string& queue) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto jobs, ledger.Started(queue, kLookBack));
  ForecastScore score;
  std::vector<double> errors;
  double within = 0;
  for (const JobEntry& job : jobs) {
    if (!job.predicted_p50 || !job.predicted_p80) continue;
    errors.push_back(std::abs(WaitOf(job) - *job.predicted_p50));
    if (WaitOf(job) <= *job.predicted_p80) within += 1;
  }
  if (errors.empty()) return score;
  score.forecasts = static_cast<std::int64_t>(errors.size());
  score.within_p80 = within / static_cast<double>(errors.size());
  score.median_error = Quantile(errors, 0.5);
  return score;
}

}  // namespace tributary::client
