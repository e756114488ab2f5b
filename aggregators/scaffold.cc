#include "aggregators/scaffold.h"

#include "aggregators/linear_step.h"
#include "aggregators/weighted_sum.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

class Scaffold final : public Aggregator {
 public:
  explicit Scaffold(AggregatorSection section) : section_(std::move(section)) {}

  std::int64_t MinSites() const override { return 1; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.offset = GradientOffset::kControlVariate;
    directive.server_state = {"control"};
    return directive;
  }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               NormalisedWeights(section_, round.contributions()));
    TRIBUTARY_ASSIGN_OR_RETURN(const double sites, RegisteredSites(round));
    const std::vector<float> step = ToFloats(weights, section_.server_learning_rate);
    const std::vector<float> share(weights.size(), static_cast<float>(1 / sites));
    const std::vector<std::string> state = {"control"};
    return round.FoldBlocks(state, [&](const Block& block) {
      const auto add = [](std::span<float> to) {
        return [to](std::size_t at, std::span<const float> sum) {
          for (std::size_t i = 0; i < sum.size(); ++i) to[at + i] += sum[i];
        };
      };
      ForWeightedSum(block.updates, step, block.global.size(), add(block.global));
      ForWeightedSum(block.second, share, block.global.size(), add(block.state[0]));
    });
  }

 private:
  const AggregatorSection section_;
};

Result<std::unique_ptr<Aggregator>> MakeScaffold(const AggregatorSection& section, const Options&) {
  return {std::make_unique<Scaffold>(section)};
}

}  // namespace

const Strategy& ScaffoldStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "scaffold",
      .family = "general",
      .summary = "control variates against client drift; for SGD at the sites",
      .paper = "arXiv:1910.06378",
      .capabilities = {.secure_sum = true, .lossy_compression = false, .site_state = true},
      .options = {},
      .make = MakeScaffold,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
