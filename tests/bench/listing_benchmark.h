// What it costs to read a scheduler's listing of many jobs.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace tributary::bench {

struct ListingOptions {
  std::int64_t jobs = 10'000;  // queued, in one listing
};

// JSON: for Slurm and PBS, seconds of one query for a tenth of the jobs, against the seconds that a
// command takes to print the same bytes to nobody, and by how much the memory of this process grew.
// The schedulers' commands print a file that is made here, in their own format.
Result<std::string> RunListingBenchmark(const ListingOptions& options);

}  // namespace tributary::bench
