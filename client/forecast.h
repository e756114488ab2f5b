// When a job that is queued now will start: from this site's own waits, and what its scheduler
// says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/site_ledger.h"
#include "core/status.h"

namespace tributary::client {

// Seconds from submission to start. Without any wait on record and without the scheduler's word
// there is no forecast.
struct Forecast {
  double p50 = 0, p80 = 0, p95 = 0;
  std::int64_t waits = 0;  // on record that it was made from; 0: the scheduler's word alone
};

// How good earlier forecasts were.
struct ForecastScore {
  std::int64_t forecasts = 0;  // that can be judged: their job started
  double within_p80 = 0;       // share of waits that were no longer than the p80 said; 0.8 is right
  double median_error = 0;     // seconds, |wait - p50|
};

// The quantile q of the values, interpolated; the values are not empty.
double Quantile(std::vector<double> values, double q);

// From the last waits in this queue, of jobs of about this size (half to twice the nodes) when
// there are enough of them, else of any size; the scheduler's expected wait, where it has one,
// replaces the median, and no quantile lies below it that was above.
Result<std::optional<Forecast>> MakeForecast(SiteLedger& ledger, const std::string& queue,
                                             std::int64_t nodes,
                                             std::optional<double> scheduler_says);

Result<ForecastScore> ScoreForecasts(SiteLedger& ledger, const std::string& queue);

}  // namespace tributary::client
