// `tributary strategies`: what a campaign may name as its aggregator. Needs no server.
#pragma once

#include <string>

namespace tributary::cli {

struct StrategiesOptions {
  std::string kind;  // with its options; empty: all, one line each
  bool json = false;
};

// The exit code.
int StrategiesCommand(const StrategiesOptions& options);

}  // namespace tributary::cli
