#include "aggregators/dare.h"

#include "aggregators/sign_election.h"
#include "core/random.h"

namespace tributary::aggregators {
namespace {

constexpr std::string_view kThen[] = {"soup", "ties"};
constexpr OptionSpec kDareOptions[] = {
    {.name = "drop",
     .meaning = "p, share of the coordinates dropped",
     .fallback = 0.9,
     .most = 0.9999},
    {.name = "then", .meaning = "how the sites are merged", .words = kThen},
    {.name = "scale",
     .meaning = "lambda, of the merged update",
     .fallback = 1,
     .least = 1e-6,
     .most = 100},
};

// The `index`-th number in [0, 1) of the stream `key`: SplitMix64, read anywhere.
double UnitAt(std::uint64_t key, std::uint64_t index) {
  const std::uint64_t bits = SplitMix64::Mix(key + (index + 1) * 0x9e3779b97f4a7c15ULL);
  return static_cast<double>(bits >> 40) * 0x1p-24;
}

class Dare final : public Aggregator {
 public:
  Dare(const AggregatorSection& section, const Options& options)
      : factor_(section.server_learning_rate * options.Number("scale")),
        drop_(options.Number("drop")),
        merge_(options.Word("then") == "ties" ? Merge::kSignElection : Merge::kMean) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    const std::uint64_t round_seed = DeriveSeed(DeriveSeed(round.seed(), HashName("dare")),
                                                static_cast<std::uint64_t>(round.number()));
    std::vector<std::uint64_t> seeds;
    for (const Contribution& c : round.contributions()) {
      seeds.push_back(DeriveSeed(round_seed, HashName(c.site)));
    }
    const auto grow = static_cast<float>(1 - drop_);
    return AddMerged(round, merge_, factor_,
                     [&](const Block& block, std::size_t site, std::size_t offset,
                         std::span<const float> update, std::span<float> kept) {
                       const std::uint64_t key = DeriveSeed(seeds[site], HashName(block.tensor));
                       for (std::size_t i = 0; i < update.size(); ++i) {
                         kept[i] = UnitAt(key, offset + i) < drop_ ? 0 : update[i] / grow;
                       }
                     });
  }

 private:
  const double factor_;
  const double drop_;
  const Merge merge_;
};

Result<std::unique_ptr<Aggregator>> MakeDare(const AggregatorSection& section,
                                             const Options& options) {
  return {std::make_unique<Dare>(section, options)};
}

}  // namespace

const Strategy& DareStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "dare",
      .family = "merging",
      .summary = "random coordinates of each update, scaled up, then merged",
      .paper = "arXiv:2311.03099",
      .capabilities = {.needs = Needs::kCoordinate, .uses_weights = false},
      .options = kDareOptions,
      .make = MakeDare,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
