#include "aggregators/task_arithmetic.h"

#include "aggregators/linear_step.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kTaskArithmeticOptions[] = {
    {.name = "scale",
     .meaning = "lambda, of the sum of the updates",
     .fallback = 0.4,
     .least = 1e-6,
     .most = 100},
};

class TaskArithmetic final : public Aggregator {
 public:
  TaskArithmetic(const AggregatorSection& section, const Options& options)
      : factor_(section.server_learning_rate * options.Number("scale")) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    return AddCombination(round, std::vector<double>(round.contributions().size(), 1.0), factor_);
  }

 private:
  const double factor_;
};

Result<std::unique_ptr<Aggregator>> MakeTaskArithmetic(const AggregatorSection& section,
                                                       const Options& options) {
  return {std::make_unique<TaskArithmetic>(section, options)};
}

}  // namespace

const Strategy& TaskArithmeticStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "task-arithmetic",
      .family = "merging",
      .summary = "scaled sum of the updates",
      .paper = "arXiv:2212.04089",
      .capabilities = {.secure_sum = true, .uses_weights = false},
      .options = kTaskArithmeticOptions,
      .make = MakeTaskArithmetic,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators
