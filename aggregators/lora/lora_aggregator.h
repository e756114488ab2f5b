// What the LoRA strategies share: one pass over the modules with a kernel of their own, and the
// weighted mean for every tensor that is no LoRA factor (heads, norms).
//
// A version holds A and B at the global rank R. Site k trained some of the ranks; its factors are
// those. All sites use one scale s (W + s B A), so sites with fewer ranks have alpha_k = s r_k.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

// The facts of a round that a module kernel may look at.
struct LoraRound {
  std::int64_t number = 1;
  std::uint64_t seed = 0;
  std::span<const Contribution> contributions;
  std::span<const double> weights;  // p_k, sum 1
};

class LoraAggregator : public Aggregator {
 public:
  explicit LoraAggregator(const AggregatorSection& section) : section_(section) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t /*round*/) const override { return {}; }
  Status Fold(Round& round) const override;

 protected:
  // p_k of the campaign's `aggregator.weights`; a strategy with weights of its own overrides it.
  virtual Result<std::vector<double>> Weights(Round& round) const;
  // Called from several threads at once.
  virtual Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const = 0;

  const AggregatorSection& section() const { return section_; }

 private:
  const AggregatorSection section_;
};

// For Strategy::make of a strategy T(section, options).
template <typename T>
Result<std::unique_ptr<Aggregator>> MakeLora(const AggregatorSection& section,
                                             const Options& options) {
  return std::unique_ptr<Aggregator>(std::make_unique<T>(section, options));
}

// Invalid argument unless server_learning_rate is 1: a strategy that makes new factors from
// products has no step that could be scaled.
Status RequireUnitServerRate(const AggregatorSection& section);

template <typename T>
Result<std::unique_ptr<Aggregator>> MakeOnProducts(const AggregatorSection& section,
                                                   const Options& options) {
  TRIBUTARY_RETURN_IF_ERROR(RequireUnitServerRate(section));
  return MakeLora<T>(section, options);
}

}  // namespace tributary::aggregators
