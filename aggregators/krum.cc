#include "aggregators/krum.h"

#include "aggregators/linear_step.h"
#include "aggregators/robust_rules.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kKrumOptions[] = {
    {.name = "faulty",
     .meaning = "sites that may be wrong or hostile",
     .fallback = 1,
     .most = 1e6,
     .whole = true},
};
constexpr OptionSpec kMultiKrumOptions[] = {
    {.name = "faulty",
     .meaning = "sites that may be wrong or hostile",
     .fallback = 1,
     .most = 1e6,
     .whole = true},
    {.name = "select",
     .meaning = "m, updates that are averaged; 0: sites less faulty",
     .most = 1e6,
     .whole = true},
};

class Krum final : public Aggregator {
 public:
  // `select`: 0 for all but the faulty.
  Krum(const AggregatorSection& section, std::int64_t faulty, std::int64_t select)
      : eta_(section.server_learning_rate), faulty_(faulty), select_(select) {}

  std::int64_t MinSites() const override { return std::max(2 * faulty_ + 3, select_ + faulty_); }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireSites(round, MinSites(), "krum"));
    TRIBUTARY_ASSIGN_OR_RETURN(const Geometry geometry, round.Measure({}));
    const std::size_t sites = geometry.count;
    const auto faulty = static_cast<std::size_t>(faulty_);
    const auto scores = KrumScores(geometry, AllSites(round), sites - faulty - 2);
    const auto count = select_ > 0 ? static_cast<std::size_t>(select_) : sites - faulty;
    return AddCombination(round, MeanOf(Lowest(scores, count), sites), eta_);
  }

 private:
  const double eta_;
  const std::int64_t faulty_;
  const std::int64_t select_;
};

Result<std::unique_ptr<Aggregator>> MakeKrum(const AggregatorSection& section,
                                             const Options& options) {
  return {std::make_unique<Krum>(section, options.Integer("faulty"), 1)};
}
Result<std::unique_ptr<Aggregator>> MakeMultiKrum(const AggregatorSection& section,
                                                  const Options& options) {
  return {std::make_unique<Krum>(section, options.Integer("faulty"), options.Integer("select"))};
}

}  // namespace

const Strategy& KrumStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "krum",
      .family = "robust",
      .summary = "the update that lies closest to its neighbours",
      .paper = "arXiv:1703.02757",
      .capabilities = {.needs = Needs::kGeometry,
                       .lossy_compression = false,
                       .uses_weights = false,
                       .min_sites = 5},
      .options = kKrumOptions,
      .make = MakeKrum,
  };
  return kStrategy;
}

const Strategy& MultiKrumStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "multi-krum",
      .family = "robust",
      .summary = "mean of the updates that lie closest to their neighbours",
      .paper = "arXiv:1703.02757",
      .capabilities = {.needs = Needs::kGeometry,
                       .lossy_compression = false,
                       .uses_weights = false,
                       .min_sites = 5},
      .options = kMultiKrumOptions,
      .make = MakeMultiKrum,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
