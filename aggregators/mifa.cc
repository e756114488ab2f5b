#include "aggregators/mifa.h"

#include "aggregators/linear_step.h"

namespace tributary::aggregators {
namespace {

class Mifa final : public Aggregator {
 public:
  explicit Mifa(const AggregatorSection& section) : eta_(section.server_learning_rate) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const double registered, RegisteredSites(round));
    const auto step = static_cast<float>(eta_ / registered);
    std::vector<std::string> state = {"sum"};
    for (const Contribution& c : round.contributions()) state.push_back("last/" + c.site);
    return round.FoldBlocks(state, [step](const Block& block) {
      const std::span<float> sum = block.state[0];
      for (std::size_t k = 0; k < block.updates.size(); ++k) {
        const std::span<const float> update = block.updates[k];
        const std::span<float> last = block.state[1 + k];
        for (std::size_t i = 0; i < sum.size(); ++i) {
          sum[i] += update[i] - last[i];
          last[i] = update[i];
        }
      }
      for (std::size_t i = 0; i < sum.size(); ++i) block.global[i] += step * sum[i];
    });
  }

 private:
  const double eta_;
};

Result<std::unique_ptr<Aggregator>> MakeMifa(const AggregatorSection& section, const Options&) {
  return {std::make_unique<Mifa>(section)};
}

}  // namespace

const Strategy& MifaStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "mifa",
      .family = "general",
      .summary = "mean of the last updates of all sites, present or not",
      .paper = "arXiv:2106.04159",
      .capabilities = {.needs = Needs::kCoordinate, .uses_weights = false},
      .options = {},
      .make = MakeMifa,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
