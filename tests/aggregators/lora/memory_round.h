// A round of LoRA modules in memory: what strategies compute, without files and threads.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

// `s` and shapes are common to all; a site's factors hold its `ranks` of the contribution.
struct MemoryModule {
  std::string name = "m";
  std::int64_t out = 0;
  std::int64_t in = 0;
  double scale = 1;
  Factors global = {};
  std::vector<Factors> sites = {};
};

// A tensor that is no LoRA factor.
struct MemoryTensor {
  std::string name;
  std::vector<float> global;
  std::vector<std::vector<float>> updates;
};

class MemoryRound final : public Round {
 public:
  std::int64_t at_round = 1;
  std::uint64_t campaign_seed = 7;
  std::vector<Contribution> sites;
  std::vector<MemoryModule> modules;
  std::vector<MemoryTensor> tensors;
  std::vector<ModuleResult> results;  // of FoldModules

  std::int64_t number() const override { return at_round; }
  std::uint64_t seed() const override { return campaign_seed; }
  std::int64_t registered_sites() const override { return static_cast<std::int64_t>(sites.size()); }
  std::span<const Contribution> contributions() const override { return sites; }
  Result<std::vector<std::vector<float>>> MagnitudeThresholds(double) override {
    return UnimplementedError("a round of modules");
  }
  Result<Geometry> Measure(std::span<const std::string>) override {
    return UnimplementedError("a round of modules");
  }
  Status FoldBlocks(std::span<const std::string>, const BlockKernel&) override {
    return UnimplementedError("a round of modules");
  }
  Status FoldSum(std::span<const float>, std::span<const std::string>, const SumKernel&) override {
    return UnimplementedError("a round of modules");
  }
  std::size_t module_count() const override { return modules.size(); }
  std::map<std::string, double>& numbers() override { return numbers_; }

  Status VisitModules(const ModuleVisitor& visit) override {
    for (std::size_t i = 0; i < modules.size(); ++i) {
      WithModule(modules[i], [&](const Module& module) { visit(i, module); });
    }
    return OkStatus();
  }

  Status FoldModules(const ModuleKernel& kernel, const BlockKernel& others) override {
    results.clear();
    for (std::size_t i = 0; i < modules.size(); ++i) {
      Status status;
      WithModule(modules[i], [&](const Module& module) {
        auto result = kernel(i, module);
        status = result.status().Annotate("module " + modules[i].name);
        if (result.ok()) results.push_back(*std::move(result));
      });
      TRIBUTARY_RETURN_IF_ERROR(status);
    }
    for (MemoryTensor& tensor : tensors) {
      const std::vector<std::span<const float>> updates(tensor.updates.begin(),
                                                        tensor.updates.end());
      Block block;
      block.tensor = tensor.name;
      block.updates = updates;
      block.global = tensor.global;
      others(block);
    }
    return OkStatus();
  }

 private:
  template <typename Use>
  static void WithModule(const MemoryModule& module, const Use& use) {
    std::vector<FactorView> views;
    for (const Factors& site : module.sites) views.push_back(site.View());
    use(Module{.name = module.name,
               .out = module.out,
               .in = module.in,
               .scale = module.scale,
               .global = module.global.View(),
               .sites = views});
  }

  std::map<std::string, double> numbers_;
};

inline Contribution Site(std::string name, std::int64_t samples,
                         std::vector<std::int64_t> ranks = {}) {
  Contribution site;
  site.site = std::move(name);
  site.samples = samples;
  site.ranks = std::move(ranks);
  return site;
}

// The ranks of `whole` with these numbers, all when empty.
inline Factors TakeRanks(const Factors& whole, const std::vector<std::int64_t>& ranks,
                         std::int64_t out, std::int64_t in) {
  if (ranks.empty()) return whole;
  Factors part{static_cast<std::int64_t>(ranks.size()), {}, {}};
  for (const std::int64_t j : ranks) {
    part.a.insert(part.a.end(), whole.a.begin() + j * in, whole.a.begin() + (j + 1) * in);
  }
  for (std::int64_t i = 0; i < out; ++i) {
    for (const std::int64_t j : ranks) {
      part.b.push_back(whole.b[static_cast<std::size_t>(i * whole.rank + j)]);
    }
  }
  return part;
}

}  // namespace tributary::aggregators
