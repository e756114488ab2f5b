// What a long history costs the campaign engine.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace tributary::bench {

struct EngineOptions {
  std::int64_t rounds = 1000;
  std::int64_t sites = 1000;
  std::string directory;  // has the journal of another process: only a start with it is measured
};

// JSON: a campaign of so many rounds and sites goes through the engine and its journal, as the
// server has them; then what an event costs, what a start costs in time and memory (in a process of
// its own, against the time that reading the journal's bytes takes), what it takes to tell all
// sites at once what they have to do, and a page of rounds that are past.
Result<std::string> RunEngineBenchmark(const EngineOptions& options);

}  // namespace tributary::bench
