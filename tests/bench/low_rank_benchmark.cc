#include "tests/bench/low_rank_benchmark.h"

#include <Eigen/Core>
#include <Eigen/SVD>
#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "aggregators/aggregator.h"
#include "aggregators/low_rank.h"
#include "aggregators/team.h"
#include "core/random.h"

namespace tributary::bench {
namespace {

using aggregators::FactorView;
using aggregators::Module;
using aggregators::ModuleResult;
using nlohmann::json;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<float> RandomValues(std::int64_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(2 * random.Unit() - 1);
  return values;
}

aggregators::Factors RandomFactors(std::int64_t rank, std::int64_t size, std::uint64_t seed) {
  return {rank, RandomValues(rank * size, 2 * seed), RandomValues(rank * size, 2 * seed + 1)};
}

// One module's factors, handed out as many modules; results are dropped.
class RepeatedRound final : public aggregators::Round {
 public:
  explicit RepeatedRound(const LowRankOptions& options)
      : options_(options),
        global_(RandomFactors(*std::max_element(options.ranks.begin(), options.ranks.end()),
                              options.size, 0)) {
    for (std::size_t k = 0; k < options.ranks.size(); ++k) {
      sites_.push_back(RandomFactors(options.ranks[k], options.size, k + 1));
      aggregators::Contribution& site = contributions_.emplace_back();
      site.site = "site-" + std::to_string(k);
      site.samples = 1;
      for (std::int64_t j = 0; j < options.ranks[k]; ++j) site.ranks.push_back(j);
    }
    for (const aggregators::Factors& site : sites_) views_.push_back(site.View());
  }

  const std::vector<FactorView>& views() const { return views_; }

  std::int64_t number() const override { return 1; }
  std::uint64_t seed() const override { return 1; }
  std::int64_t registered_sites() const override {
    return static_cast<std::int64_t>(sites_.size());
  }
  std::span<const aggregators::Contribution> contributions() const override {
    return contributions_;
  }
  Result<std::vector<std::vector<float>>> MagnitudeThresholds(double) override {
    return UnimplementedError("modules only");
  }
  Result<aggregators::Geometry> Measure(std::span<const std::string>) override {
    return UnimplementedError("modules only");
  }
  Status FoldBlocks(std::span<const std::string>, const BlockKernel&) override {
    return UnimplementedError("modules only");
  }
  Status FoldSum(std::span<const float>, std::span<const std::string>, const SumKernel&) override {
    return UnimplementedError("modules only");
  }
  std::size_t module_count() const override {
    return static_cast<std::size_t>(options_.layers * options_.modules_per_layer);
  }
  std::map<std::string, double>& numbers() override { return numbers_; }

  Status VisitModules(const ModuleVisitor& visit) override {
    return ForEach([&](std::size_t i, const Module& module) {
      visit(i, module);
      return OkStatus();
    });
  }
  Status FoldModules(const ModuleKernel& kernel, const BlockKernel&) override {
    return ForEach([&](std::size_t i, const Module& module) { return kernel(i, module).status(); });
  }

 private:
  Status ForEach(const std::function<Status(std::size_t, const Module&)>& use) {
    const auto fold = [&](unsigned, std::size_t i) {
      const std::string name = "module." + std::to_string(i);
      return use(i, {name, options_.size, options_.size, 1, global_.View(), views_});
    };
    return aggregators::RunTeam(static_cast<unsigned>(options_.threads), module_count(), {}, fold);
  }

  const LowRankOptions options_;
  const aggregators::Factors global_;
  std::vector<aggregators::Factors> sites_;
  std::vector<FactorView> views_;
  std::vector<aggregators::Contribution> contributions_;
  std::map<std::string, double> numbers_;
};

Result<double> FoldSeconds(const LowRankOptions& options) {
  AggregatorSection section;
  section.kind = options.strategy;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto aggregator, aggregators::MakeAggregator(section));
  RepeatedRound round(options);
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_RETURN_IF_ERROR(aggregator->Fold(round));
  return SecondsSince(begin);
}

// sum_k p_k B_k A_k of one module as a matrix, in fp32.
double DenseProductSeconds(const LowRankOptions& options) {
  const RepeatedRound round(options);
  const auto begin = std::chrono::steady_clock::now();
  RowMajor product = RowMajor::Zero(options.size, options.size);
  for (const FactorView& site : round.views()) {
    const Eigen::Map<const RowMajor> a(site.a.data(), site.rank, options.size);
    const Eigen::Map<const RowMajor> b(site.b.data(), options.size, site.rank);
    product.noalias() += b * a;
  }
  const double seconds = SecondsSince(begin);
  return product.allFinite() ? seconds : 0;
}

double DenseSvdSeconds(std::int64_t size) {
  const auto values = RandomValues(size * size, 7);
  const Eigen::MatrixXd matrix =
      Eigen::Map<const RowMajor>(values.data(), size, size).cast<double>();
  const auto begin = std::chrono::steady_clock::now();
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(matrix, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const double seconds = SecondsSince(begin);
  return svd.singularValues().allFinite() ? seconds : 0;
}

Result<double> OneModuleSeconds(LowRankOptions options) {
  options.layers = options.modules_per_layer = options.threads = 1;
  return FoldSeconds(options);
}

}  // namespace

Result<std::string> RunLowRankBenchmark(const LowRankOptions& options) {
  if (options.ranks.empty()) return InvalidArgumentError("at least one rank is needed");
  TRIBUTARY_ASSIGN_OR_RETURN(const double fold, FoldSeconds(options));
  TRIBUTARY_ASSIGN_OR_RETURN(const double one, OneModuleSeconds(options));
  const double product = DenseProductSeconds(options);
  const double small_svd = DenseSvdSeconds(options.dense_size);
  const double larger = static_cast<double>(options.size) / static_cast<double>(options.dense_size);
  const double svd = small_svd * larger * larger * larger;
  const json of_module{
      {"fold_seconds", one},
      {"dense_product_seconds", product},
      {"dense_product_ratio", product / one},
      {"dense_svd_seconds_measured", small_svd},
      {"dense_svd_size_measured", options.dense_size},
      {"dense_svd_seconds_extrapolated", svd},
      {"dense_svd_ratio_extrapolated", svd / one},
  };
  return json{{"strategy", options.strategy},
              {"layers", options.layers},
              {"modules", options.layers * options.modules_per_layer},
              {"size", options.size},
              {"ranks", options.ranks},
              {"threads", options.threads},
              {"fold_seconds", fold},
              {"one_module_one_thread", of_module}}
      .dump(2);
}

}  // namespace tributary::bench
