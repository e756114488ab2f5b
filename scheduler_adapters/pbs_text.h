// What PBS prints and expects: ids, times, `qstat -f`, the answers of qsub, directives. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "scheduler_adapters/pbs_listing.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// "123.pbs01", "123[4].pbs01", "123".
bool IsPbsJobId(std::string_view id);

// The same number on the same server. One may name the server shorter ("polaris-pbs-01") than the
// other does ("polaris-pbs-01.hsn.cm"), or not at all.
bool IsSamePbsJob(std::string_view a, std::string_view b);

// "Sat Nov 21 04:43:40 2026", in UTC, or seconds since the epoch.
std::optional<Timestamp> ParsePbsTime(std::string_view text);
// "25:00:00", "90:00" or "90".
std::optional<std::chrono::seconds> ParsePbsDuration(std::string_view text);
std::string FormatPbsDuration(std::chrono::seconds duration);

// The first object of `qstat -f`, `qstat -f -w` or `qstat -B -f`. Fails when there is none.
Result<PbsAttributes> ParseQstatText(std::string_view text);

// What a job's attributes say about it.
JobStatus PbsJobStatus(std::string_view id, const PbsAttributes& attributes);

// What may be the id in what a successful qsub printed, perhaps among a site's own words: lines
// that look like one, the last first.
std::vector<std::string> ParseQsubAnswer(std::string_view out);
// Whether qsub failed because it will never take this job; otherwise it may take it another time.
bool IsQsubRefusal(int exit_status, std::string_view err);
// Whether it failed because it does not take the job now: a limit on queued jobs, a queue that is
// switched off.
bool IsQsubNotNow(int exit_status, std::string_view err);

// "#PBS ..." lines; the site's come last, where they win. Fails when a value cannot be written on
// such a line.
Result<std::vector<std::string>> PbsDirectives(const JobSpec& spec, bool requeue);

}  // namespace tributary::scheduler_adapters
