// The strategies against each other in miniature (reference/algorithms.md, C.23): five sites learn
// a 32 x 32 linear map by Adam on LoRA factors. Each has the same target of rank 8 and, with
// heterogeneity, a part of rank 3 and a scaling of features of its own. A result is the excess of
// the global loss over that of the best full-rank map, as a part of the excess at the start: 0
// best, 1 untrained; the mean of three seeds. What is asserted are relations, with room, not
// digits.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <string>

#include "tests/aggregators/lora/sample_round.h"

namespace tributary::aggregators {
namespace {

constexpr std::int64_t kSize = 32;
constexpr std::int64_t kSites = 5;
constexpr int kRounds = 40;
constexpr std::array kSeeds = {1, 2, 3};
constexpr std::array kRates = {.003, .01, .03};
const std::vector<std::int64_t> kMixed = {2, 4, 4, 8, 16};
const std::vector<std::int64_t> kEqual = {8, 8, 8, 8, 8};

// Roughly normal, variance 1.
Matrix Normal(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  Matrix sum = Matrix::Zero(rows, cols);
  for (std::uint64_t i = 0; i < 3; ++i) sum += Matrix::Random(rows, cols, DeriveSeed(seed, i));
  return sum;
}

// f(W) = 1/2 sum_ij feature_j (W_ij - target_ij)^2 of one site.
struct Task {
  Matrix target;
  std::vector<double> features;
  Matrix Gradient(const Matrix& w) const {
    Matrix g = w - target;
    for (std::int64_t i = 0; i < kSize; ++i) {
      for (std::int64_t j = 0; j < kSize; ++j) g(i, j) *= features[static_cast<std::size_t>(j)];
    }
    return g;
  }
};

struct World {
  World(double heterogeneity, std::uint64_t seed) {
    const Matrix shared = Normal(kSize, 8, seed) * Normal(8, kSize, seed + 1000);
    for (std::uint64_t k = 0; k < kSites; ++k) {
      const std::uint64_t own = DeriveSeed(seed, k);
      Task task{(1.0 / kSize) * shared, std::vector<double>(kSize, 1)};
      task.target += (heterogeneity / kSize) * (Normal(kSize, 3, own) * Normal(3, kSize, own + 1));
      SplitMix64 random(own + 2);
      for (double& f : task.features) f = std::exp(heterogeneity * (2 * random.Unit() - 1));
      tasks.push_back(std::move(task));
    }
    least = Loss(Optimum());
  }

  double Loss(const Matrix& w) const {
    double loss = 0;
    for (const Task& task : tasks) {
      const Matrix error = w - task.target, gradient = task.Gradient(w);
      for (std::size_t i = 0; i < error.values.size(); ++i) {
        loss += 0.5 * error.values[i] * gradient.values[i] / kSites;
      }
    }
    return loss;
  }

  double Excess(const Matrix& w) const {
    return (Loss(w) - least) / (Loss(Matrix::Zero(kSize, kSize)) - least);
  }

  std::vector<Task> tasks;
  double least = 0;

 private:
  Matrix Optimum() const {
    Matrix w = Matrix::Zero(kSize, kSize);
    for (std::int64_t j = 0; j < kSize; ++j) {
      double mass = 0;
      for (const Task& task : tasks) mass += task.features[static_cast<std::size_t>(j)];
      for (const Task& task : tasks) {
        const double share = task.features[static_cast<std::size_t>(j)] / mass;
        for (std::int64_t i = 0; i < kSize; ++i) w(i, j) += share * task.target(i, j);
      }
    }
    return w;
  }
};

class Adam {
 public:
  explicit Adam(std::size_t size) : m_(size), v_(size) {}
  void Step(const std::vector<double>& gradient, double rate, std::vector<double>& values) {
    ++steps_;
    const double first = 1 - std::pow(.9, steps_), second = 1 - std::pow(.999, steps_);
    for (std::size_t i = 0; i < values.size(); ++i) {
      m_[i] = .9 * m_[i] + .1 * gradient[i];
      v_[i] = .999 * v_[i] + .001 * gradient[i] * gradient[i];
      values[i] -= rate * (m_[i] / first) / (std::sqrt(v_[i] / second) + 1e-8);
    }
  }

 private:
  std::vector<double> m_, v_;
  int steps_ = 0;
};

struct Work {
  int steps = 20;
  double rate = .01;
};

// Trains a site's ranks on top of `base`.
Factors Train(const Task& task, const Matrix& base, const Factors& start, FrozenFactor frozen,
              const Work& work) {
  Matrix a = DenseA(start.View()), b = DenseB(start.View());
  Adam of_a(a.values.size()), of_b(b.values.size());
  for (int step = 0; step < work.steps; ++step) {
    const Matrix g = task.Gradient(base + b * a);
    const Matrix da = b.Transposed() * g, db = g * a.Transposed();
    if (frozen != FrozenFactor::kA) of_a.Step(da.values, work.rate, a.values);
    if (frozen != FrozenFactor::kB) of_b.Step(db.values, work.rate, b.values);
  }
  return ToFactors(b, a);
}

// A campaign of one module: what server and sites do, round by round.
class Campaign {
 public:
  Campaign(const World& world, const Aggregator& aggregator, std::vector<std::int64_t> ranks,
           std::uint64_t seed)
      : world_(world), aggregator_(aggregator), site_ranks_(std::move(ranks)) {
    const std::int64_t rank = *std::max_element(site_ranks_.begin(), site_ranks_.end());
    round_.campaign_seed = seed;
    MemoryModule& module = round_.modules.emplace_back();
    module.out = module.in = kSize;
    module.global = ToFactors(Matrix::Zero(kSize, rank),
                              (1 / std::sqrt(kSize)) * Matrix::Random(rank, kSize, seed + 77));
  }

  double Run(const Work& work) {
    for (int number = 1; number <= kRounds; ++number) {
      round_.at_round = number;
      TrainSites(aggregator_.Directive(number), work);
      EXPECT_TRUE(aggregator_.Fold(round_).ok());
      const ModuleResult& result = round_.results[0];
      if (result.merged.rank > 0) merged_ += Product(result.merged);
      round_.modules[0].global = result.next;
    }
    return world_.Excess(merged_ + Product(round_.modules[0].global));
  }

 private:
  void TrainSites(const TrainDirective& directive, const Work& work) {
    MemoryModule& module = round_.modules[0];
    round_.sites.clear();
    module.sites.clear();
    for (std::size_t k = 0; k < kSites; ++k) {
      Contribution& site = round_.sites.emplace_back();
      site.site = std::string(1, static_cast<char>('a' + k));
      site.samples = 1;
      if (site_ranks_[k] < module.global.rank) {
        const std::uint64_t seed = DeriveSeed(round_.campaign_seed, 100 * round_.at_round + k);
        site.ranks = TrainedRanks(directive.ranks, module.global.rank, site_ranks_[k], seed);
      }
      const Factors start = TakeRanks(module.global, site.ranks, kSize, kSize);
      Matrix base = merged_;
      if (directive.fold_untrained_ranks) base += Product(module.global) - Product(start);
      module.sites.push_back(Train(world_.tasks[k], base, start, directive.frozen, work));
    }
  }

  const World& world_;
  const Aggregator& aggregator_;
  const std::vector<std::int64_t> site_ranks_;
  MemoryRound round_;
  Matrix merged_ = Matrix::Zero(kSize, kSize);
};

double Excess(const Strategy& strategy, double heterogeneity,
              const std::vector<std::int64_t>& ranks, const Work& work, const Given& given = {}) {
  const auto aggregator = Make(strategy, given);
  double sum = 0;
  for (const int seed : kSeeds) {
    const World world(heterogeneity, static_cast<std::uint64_t>(seed));
    Campaign campaign(world, *aggregator, ranks, static_cast<std::uint64_t>(seed));
    sum += std::min(2.0, campaign.Run(work));  // a diverged run must not hide the others
  }
  return sum / kSeeds.size();
}

double BestExcess(const Strategy& strategy, double heterogeneity,
                  const std::vector<std::int64_t>& ranks, const Given& given = {}) {
  double best = 2;
  for (const int steps : {5, 20}) {
    for (const double rate : kRates) {
      best = std::min(best, Excess(strategy, heterogeneity, ranks, {steps, rate}, given));
    }
  }
  std::printf("  %-12s %s\n", std::string(strategy.kind).c_str(), std::to_string(best).c_str());
  return best;
}

TEST(LoraComparisonTest, UnderMixedRanksTruncationCollapsesAndFoldingOrMergingCuresIt) {
  const double zero_pad = BestExcess(ZeroPadStrategy(), 0, kMixed);
  const double flexlora = BestExcess(FlexLoraStrategy(), 0, kMixed);
  EXPECT_GT(zero_pad, .1);
  EXPECT_LT(flexlora, .7 * zero_pad);
  EXPECT_GT(flexlora, .02);
  for (const Strategy* cure : {&RaFloraStrategy(), &FedPLoraStrategy(), &FoldFlexStrategy(),
                               &FloraStrategy(), &FedExLoraStrategy()}) {
    EXPECT_LT(BestExcess(*cure, 0, kMixed), .1 * flexlora) << cure->kind;
  }
  EXPECT_LT(BestExcess(FoldFlexStrategy(), 0, kMixed, {{"mode", "exact"}}), .1 * flexlora);
}

TEST(LoraComparisonTest, AFrozenAIsCappedByItsRowSpace) {
  const double fedit = BestExcess(FedItStrategy(), 0, kEqual);
  EXPECT_LT(fedit, .02);
  for (const Strategy* capped : {&FfaLoraStrategy(), &FedSvdStrategy()}) {
    EXPECT_GT(BestExcess(*capped, 0, kEqual), .5) << capped->kind;
  }
  EXPECT_LT(BestExcess(RoLoraStrategy(), 0, kEqual), .05);  // the same traffic, but A moves
}

TEST(LoraComparisonTest, UnderHeterogeneityExactMergingIsBestWhenRoundsAreLong) {
  const Work work{20, .01};
  const double flora = Excess(FloraStrategy(), .5, kMixed, work);
  for (const Strategy* other : {&ZeroPadStrategy(), &FlexLoraStrategy(), &RaFloraStrategy(),
                                &FedPLoraStrategy(), &FoldFlexStrategy()}) {
    const double excess = Excess(*other, .5, kMixed, work);
    std::printf("  E=20 flora %.4f %s %.4f\n", flora, std::string(other->kind).c_str(), excess);
    EXPECT_LT(flora, excess) << other->kind;
  }
}

TEST(LoraComparisonTest, UnderStrongHeterogeneityExactnessPaysAtEqualAndAtMixedRanks) {
  const Work work{20, .01};
  const auto excess = [&](const Strategy& strategy, const std::vector<std::int64_t>& ranks) {
    const double value = Excess(strategy, 1, ranks, work);
    std::printf("  het 1 %s %s %.4f\n", ranks == kEqual ? "equal" : "mixed",
                std::string(strategy.kind).c_str(), value);
    return value;
  };
  const double flora = excess(FloraStrategy(), kEqual);
  for (const Strategy* other : {&FedItStrategy(), &RoLoraStrategy(), &LoraFairStrategy(),
                                &FedRotLoraStrategy(), &FlexLoraStrategy(), &RaFloraStrategy()}) {
    EXPECT_LT(flora, excess(*other, kEqual)) << other->kind;
  }
  for (const Strategy* capped : {&FfaLoraStrategy(), &FedSvdStrategy()}) {
    EXPECT_GT(excess(*capped, kEqual), .5) << capped->kind;
  }
  const double flora_mixed = excess(FloraStrategy(), kMixed);
  const double zero_pad = excess(ZeroPadStrategy(), kMixed);
  for (const Strategy* better : {&HetLoraStrategy(), &FlexLoraStrategy(), &RaFloraStrategy(),
                                 &FedPLoraStrategy(), &FoldFlexStrategy(), &FedExLoraStrategy()}) {
    const double value = excess(*better, kMixed);
    EXPECT_LT(flora_mixed, value) << better->kind;
    EXPECT_LT(value, zero_pad) << better->kind;
  }
}

TEST(LoraComparisonTest, AFreshAdapterEveryRoundIsWorstWhenRoundsAreShort) {
  const Work work{1, .01};
  const double flora = Excess(FloraStrategy(), .5, kMixed, work);
  for (const Strategy* other : {&RaFloraStrategy(), &FedPLoraStrategy(), &FoldFlexStrategy()}) {
    const double excess = Excess(*other, .5, kMixed, work);
    std::printf("  E=1 flora %.4f %s %.4f\n", flora, std::string(other->kind).c_str(), excess);
    EXPECT_LT(excess, .6 * flora) << other->kind;
  }
}

}  // namespace
}  // namespace tributary::aggregators
