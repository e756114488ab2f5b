// What it costs to fold a round, against what the machine could do.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace tributary::bench {

struct AggregateOptions {
  int sites = 16;
  std::int64_t parameters = std::int64_t{64} << 20;
  std::string directory;  // for the files, about 7 bytes x parameters x sites; empty: $TMPDIR
  std::string fold;       // a strategy: one fold by it and nothing else
};

// Writes updates, folds them by several strategies, and tells as JSON: seconds and the ratio to a
// limit measured in the same run (reading the same mapped bytes with two threads; for strategies
// that look at each coordinate or at geometry, the weighted mean), and the peak memory of folds of
// 4, 16 and 64 sites. With `fold`: seconds and peak memory of that one, for a run under a limit of
// memory.
Result<std::string> RunAggregateBenchmark(const AggregateOptions& options);

}  // namespace tributary::bench
