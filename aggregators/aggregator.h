// The mathematics that turns updates into the next version of the global adapter.
//
// Most users pick one by name in the campaign file (`aggregator.kind`). To write one: derive here,
// add a line to the table in aggregator.cc and an example to configs/. An aggregator sees spans of
// floats and numbers that sites report; it never sees files, the network or a clock, so it can be
// tested in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/campaign_file.h"
#include "core/status.h"

namespace tributary::aggregators {

// What a campaign may combine the aggregator with; checked when the campaign is submitted.
struct Capabilities {
  bool mixed_ranks = false;               // sites may train different LoRA ranks
  bool asynchronous = false;              // accepts updates against older versions
  bool secure_sum = false;                // needs only the (weighted) sum of the updates
  bool needs_individual_updates = false;  // looks at single updates: excludes secure sums
  bool site_state = false;                // sites keep durable state between rounds
  std::int64_t min_sites = 1;
};

// What is known about one update besides its tensors. Order everywhere: by site name, never by
// arrival.
struct Contribution {
  std::string site;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;
  std::int64_t steps = 0;
};

class Aggregator {
 public:
  virtual ~Aggregator() = default;

  virtual const Capabilities& capabilities() const = 0;

  // Called once per round, before the blocks, on one thread. Invalid argument when these
  // contributions cannot be combined.
  virtual Status Begin(std::span<const Contribution> contributions) = 0;

  // Folds one block of consecutive parameters: `updates[k]` is the delta of contribution k (fp32,
  // trained minus global), and `global` holds the current version and receives the next. All spans
  // have one length. Blocks may be folded in any order and on several threads at once; the result
  // must not depend on how parameters are cut into blocks.
  virtual void FoldBlock(std::span<const std::span<const float>> updates,
                         std::span<float> global) const = 0;
};

// Not found for an unknown kind, with the known ones in the message.
Result<std::unique_ptr<Aggregator>> MakeAggregator(const AggregatorSection& section);

struct AggregatorInfo {
  std::string_view kind;
  std::string_view summary;
};
std::span<const AggregatorInfo> KnownAggregators();

}  // namespace tributary::aggregators
