// `tributary-bench round`: what a round costs when training costs nothing.
//
// The real server process with its durable state, N clients speaking the real protocol over mutual
// TLS with their own journals, and a trainer that only adds a constant. Prints JSON.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace tributary::bench {

struct RoundOptions {
  std::int64_t sites = 2;
  std::int64_t params = 1'000'000;
  std::int64_t tensors = 8;
  std::int64_t rounds = 5;
  std::string server_program;  // path of tributary-server
};

// The result as JSON text.
Result<std::string> RunRoundBenchmark(const RoundOptions& options);

}  // namespace tributary::bench
