// The mathematics that turns updates into the next version of the global adapter.
//
// Most users pick one by name in the campaign file (`aggregator.kind`). To write one, see
// docs/adding_a_strategy.md: derive from Aggregator, describe it in a Strategy, add a line to the
// table in strategy_table.cc. An aggregator is a function of a Round (round.h): it sees spans of
// floats and numbers that sites report; never files, the network or a clock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "aggregators/options.h"
#include "aggregators/round.h"
#include "core/campaign_file.h"
#include "core/status.h"
#include "core/train_directive.h"

namespace tributary::aggregators {

// What a strategy has to look at; more costs more passes and more memory.
enum class Needs : std::uint8_t {
  kSum,         // a weighted sum of the updates
  kCoordinate,  // all values of a coordinate at a time: medians, signs
  kGeometry,    // inner products of whole updates
  kFactors,     // the LoRA factors of all sites, module by module
};

// What a campaign may combine the strategy with; checked when the campaign is submitted, see
// reference in docs/strategies.md.
struct Capabilities {
  Needs needs = Needs::kSum;
  bool secure_sum = false;         // works when the server sees only the sum of the updates
  bool site_privacy = false;       // noise of the site's own is well-behaved under it
  bool lossy_compression = true;   // updates may be sparsified or quantised
  bool mixed_ranks = false;        // sites may train different LoRA ranks
  bool lora_only = false;          // defined on pairs of factors only
  bool asynchronous = false;       // accepts updates against older versions
  bool site_state = false;         // sites keep durable state between rounds
  bool personalised = false;       // there is no single global model
  bool uses_weights = true;        // `aggregator.weights` counts
  bool equal_ranks_exact = false;  // LoRA: the new product is the mean of the sites' products
  std::int64_t min_sites = 1;      // at the default options; MinSites() knows the real ones
};

class Aggregator {
 public:
  virtual ~Aggregator() = default;

  // Contributions without which Fold() refuses, with the options this one was made with.
  virtual std::int64_t MinSites() const = 0;

  // Whether versions may come with products for the base weights, with the options this one was
  // made with: every site's trainer adds them.
  virtual bool Merges() const { return false; }

  // What sites do differently in `round` (from 1).
  virtual TrainDirective Directive(std::int64_t round) const = 0;

  // Turns the updates of one round into the next version and the next state. Called once per round,
  // on one thread, on a new object or one that folded earlier rounds: all that lasts is in `round`.
  // Invalid argument when these contributions cannot be combined: the round is not published.
  virtual Status Fold(Round& round) const = 0;
};

// A strategy as the table and `tributary strategies` know it.
struct Strategy {
  std::string_view kind;     // "fedadam"
  std::string_view family;   // "general", "robust", "merging", "lora"
  std::string_view summary;  // one line
  std::string_view paper;    // "arXiv:2003.00295", several separated by ", "
  Capabilities capabilities;
  std::span<const OptionSpec> options;
  // `options` has been read from the section; invalid argument for a combination that cannot work.
  Result<std::unique_ptr<Aggregator>> (*make)(const AggregatorSection& section,
                                              const Options& options);
  bool experimental = false;
};

// All of them, by family and then name.
std::span<const Strategy* const> Strategies();

// Not found for an unknown kind, with the nearest and the known ones in the message.
Result<const Strategy*> FindStrategy(std::string_view kind);

// Invalid argument when the section's options are not those of its kind, or out of range.
Result<std::unique_ptr<Aggregator>> MakeAggregator(const AggregatorSection& section);

}  // namespace tributary::aggregators
