// What folding the LoRA adapter of a large model costs, against forming its dense products.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace tributary::bench {

// The default is an adapter of a 7B model: q, k, v and o of 32 layers, 4096 x 4096, and eight
// sites of ranks 8 to 64.
struct LowRankOptions {
  std::int64_t layers = 32;
  std::int64_t modules_per_layer = 4;
  std::int64_t size = 4096;  // of a module's square weight
  std::vector<std::int64_t> ranks = {8, 16, 24, 32, 40, 48, 56, 64};
  std::string strategy = "flexlora";
  std::int64_t threads = 2;
  std::int64_t dense_size = 768;  // of the dense SVD; its time grows with the cube
};

// JSON: seconds of one fold (from factors in memory to the next factors), and for one module the
// seconds of the same by the dense product and its SVD, as ratios. The dense SVD is timed on a
// smaller square matrix and scaled by the cube of the size, which the output says. All modules have
// the same values: the arithmetic does not depend on them.
Result<std::string> RunLowRankBenchmark(const LowRankOptions& options);

}  // namespace tributary::bench
