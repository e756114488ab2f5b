#include "aggregators/fed_opt.h"

#include <array>
#include <cmath>

#include "aggregators/linear_step.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

enum class Rule : std::uint8_t { kAdagrad, kAdam, kYogi };

constexpr std::string_view kConventions[] = {"paper", "flower", "openfedllm"};
constexpr std::string_view kStarts[] = {"convention", "zero", "tau-squared"};

constexpr std::array<OptionSpec, 6> OptionsOf(double learning_rate, double beta1) {
  return {{
      {.name = "learning_rate",
       .meaning = "eta of the paper",
       .fallback = learning_rate,
       .least = 1e-9,
       .most = 1e9},
      {.name = "beta1",
       .meaning = "what is kept of m each round",
       .fallback = beta1,
       .most = 0.9999},
      {.name = "beta2",
       .meaning = "what is kept of v each round; not of FedAdagrad",
       .fallback = 0.99,
       .most = 0.999999},
      {.name = "tau",
       .meaning = "degree of adaptivity: small is very adaptive",
       .fallback = 1e-3,
       .least = 1e-12,
       .most = 1e9},
      {.name = "convention", .meaning = "whose formula", .words = kConventions},
      {.name = "v_start", .meaning = "first value of v", .words = kStarts},
  }};
}
constexpr auto kAdagradOptions = OptionsOf(0.1, 0);
constexpr auto kAdamOptions = OptionsOf(0.1, 0.9);
constexpr auto kYogiOptions = OptionsOf(0.01, 0.9);

// The numbers of one round.
struct Step {
  Rule rule = Rule::kAdam;
  bool squares_momentum = false;  // v follows m^2
  bool fill = false;              // v starts at `start`
  float start = 0;
  float keep_m = 0, take_m = 1;
  float keep_v = 0, take_v = 1;
  float eta = 1;
  float tau = 0;
};

// m is null without momentum.
void Apply(const Step& step, std::span<const float> d, float* x, float* v, float* m) {
  for (std::size_t i = 0; i < d.size(); ++i) {
    float direction = d[i];
    if (m != nullptr) direction = m[i] = step.keep_m * m[i] + step.take_m * d[i];
    const float moving = step.squares_momentum ? direction : d[i];
    const float square = moving * moving;
    const float before = step.fill ? step.start : v[i];
    if (step.rule == Rule::kAdagrad) {
      v[i] = before + square;
    } else if (step.rule == Rule::kAdam) {
      v[i] = step.keep_v * before + step.take_v * square;
    } else {
      const float change = step.take_v * square;
      v[i] = before > square ? before - change : before < square ? before + change : before;
    }
    x[i] += step.eta * (direction / (std::sqrt(v[i]) + step.tau));
  }
}

class FedOpt final : public Aggregator {
 public:
  FedOpt(Rule rule, AggregatorSection section, const Options& options)
      : rule_(rule),
        section_(std::move(section)),
        eta_(options.Number("learning_rate") * section_.server_learning_rate),
        beta1_(options.Number("beta1")),
        beta2_(options.Number("beta2")),
        tau_(options.Number("tau")),
        convention_(options.Word("convention")),
        v_start_(options.Word("v_start")) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               NormalisedWeights(section_, round.contributions()));
    const std::vector<float> c = ToFloats(weights);
    const bool first = round.numbers()["optimizer.rounds"]++ == 0;
    const Step step = StepOf(round.number(), first);
    std::vector<std::string> state = {"v"};
    if (beta1_ > 0) state.emplace_back("m");
    return round.FoldSum(c, state, [&](const Block& block, std::span<const float> sum) {
      float* m = state.size() > 1 ? block.state[1].data() : nullptr;
      Apply(step, sum, block.global.data(), block.state[0].data(), m);
    });
  }

 private:
  Step StepOf(std::int64_t round, bool first) const {
    const bool openfedllm = convention_ == "openfedllm";
    Step step;
    step.rule = rule_;
    step.squares_momentum = openfedllm && rule_ != Rule::kAdagrad;
    const bool from_zero =
        v_start_ == "zero" || (v_start_ == "convention" && convention_ == "flower");
    step.fill = first && !from_zero;
    step.start = static_cast<float>(tau_ * tau_);
    step.keep_m = static_cast<float>(beta1_);
    step.take_m = static_cast<float>(first && openfedllm ? 1 : 1 - beta1_);
    step.keep_v = static_cast<float>(beta2_);
    step.take_v = static_cast<float>(1 - beta2_);
    step.tau = static_cast<float>(tau_);
    double eta = eta_;
    if (convention_ == "flower" && rule_ == Rule::kAdam) {
      const auto t = static_cast<double>(round + 1);
      eta *= std::sqrt(1 - std::pow(beta2_, t)) / (1 - std::pow(beta1_, t));
    }
    step.eta = static_cast<float>(eta);
    return step;
  }

  const Rule rule_;
  const AggregatorSection section_;
  const double eta_;
  const double beta1_;
  const double beta2_;
  const double tau_;
  const std::string convention_;
  const std::string v_start_;
};

template <Rule kRule>
Result<std::unique_ptr<Aggregator>> MakeFedOpt(const AggregatorSection& section,
                                               const Options& options) {
  return {std::make_unique<FedOpt>(kRule, section, options)};
}

}  // namespace

const Strategy& FedAdagradStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedadagrad",
      .family = "general",
      .summary = "Adagrad at the server",
      .paper = "arXiv:2003.00295",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = kAdagradOptions,
      .make = MakeFedOpt<Rule::kAdagrad>,
  };
  return kStrategy;
}

const Strategy& FedAdamStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedadam",
      .family = "general",
      .summary = "Adam at the server",
      .paper = "arXiv:2003.00295",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = kAdamOptions,
      .make = MakeFedOpt<Rule::kAdam>,
  };
  return kStrategy;
}

const Strategy& FedYogiStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedyogi",
      .family = "general",
      .summary = "Yogi at the server",
      .paper = "arXiv:2003.00295",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = kYogiOptions,
      .make = MakeFedOpt<Rule::kYogi>,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
