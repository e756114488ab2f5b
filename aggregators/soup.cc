#include "aggregators/soup.h"

#include "aggregators/linear_step.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

class Soup final : public Aggregator {
 public:
  explicit Soup(const AggregatorSection& section) : eta_(section.server_learning_rate) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    return AddCombination(round, EqualWeights(round.contributions().size()), eta_);
  }

 private:
  const double eta_;
};

Result<std::unique_ptr<Aggregator>> MakeSoup(const AggregatorSection& section, const Options&) {
  return {std::make_unique<Soup>(section)};
}

}  // namespace

const Strategy& SoupStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "soup",
      .family = "merging",
      .summary = "plain mean of the updates",
      .paper = "arXiv:2203.05482",
      .capabilities = {.secure_sum = true, .site_privacy = true, .uses_weights = false},
      .options = {},
      .make = MakeSoup,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
