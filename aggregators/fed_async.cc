#include "aggregators/fed_async.h"

#include "aggregators/linear_step.h"
#include "aggregators/staleness.h"

namespace tributary::aggregators {
namespace {

constexpr std::string_view kFunctions[] = {"polynomial", "hinge", "constant"};
constexpr std::string_view kScales[] = {"none", "sites"};
constexpr OptionSpec kFedAsyncOptions[] = {
    {.name = "alpha",
     .meaning = "mixing rate of a fresh update",
     .fallback = 0.6,
     .least = 1e-6,
     .most = 1},
    {.name = "staleness", .meaning = "how older updates fade", .words = kFunctions},
    {.name = "polynomial_a", .meaning = "exponent of polynomial", .fallback = 0.5, .most = 100},
    {.name = "hinge_a", .meaning = "slope of hinge", .fallback = 10, .most = 1e6},
    {.name = "hinge_b", .meaning = "staleness up to which hinge is 1", .fallback = 4, .most = 1e6},
    {.name = "max_staleness",
     .meaning = "older updates do not count; 0: no limit",
     .most = 1e9,
     .whole = true},
    {.name = "scale", .meaning = "divide by the number of sites, or not", .words = kScales},
    {.name = "mu", .meaning = "proximal term at the sites, as FedProx has it", .most = 1e6},
};

Staleness StalenessOf(const Options& options) {
  const std::int64_t most = options.Integer("max_staleness");
  const std::string& kind = options.Word("staleness");
  if (kind == "constant") return {Staleness::Kind::kConstant, 0, 0, most};
  if (kind == "hinge") {
    return {Staleness::Kind::kHinge, options.Number("hinge_a"), options.Number("hinge_b"), most};
  }
  return {Staleness::Kind::kPolynomial, options.Number("polynomial_a"), 0, most};
}

class FedAsync final : public Aggregator {
 public:
  FedAsync(const AggregatorSection& section, const Options& options)
      : eta_(section.server_learning_rate * options.Number("alpha")),
        staleness_(StalenessOf(options)),
        by_sites_(options.Word("scale") == "sites"),
        mu_(options.Number("mu")) {}

  std::int64_t MinSites() const override { return 1; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.proximal = mu_;
    return directive;
  }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               StalenessWeights(staleness_, round.contributions()));
    TRIBUTARY_ASSIGN_OR_RETURN(const double sites, RegisteredSites(round));
    return AddCombination(round, weights, by_sites_ ? eta_ / sites : eta_);
  }

 private:
  const double eta_;
  const Staleness staleness_;
  const bool by_sites_;
  const double mu_;
};

Result<std::unique_ptr<Aggregator>> MakeFedAsync(const AggregatorSection& section,
                                                 const Options& options) {
  return {std::make_unique<FedAsync>(section, options)};
}

}  // namespace

const Strategy& FedAsyncStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedasync",
      .family = "general",
      .summary = "each update is mixed in as it arrives; older ones count less",
      .paper = "arXiv:1903.03934",
      .capabilities = {.asynchronous = true, .uses_weights = false},
      .options = kFedAsyncOptions,
      .make = MakeFedAsync,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
