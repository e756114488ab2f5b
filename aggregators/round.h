// What an aggregator folds: the updates of one round, the current version and the strategy's own
// state; and what it leaves: the next version and the next state.
//
// A Round owns the files, the memory and the threads. It offers a few passes over the data; an
// aggregator strings passes together and says what happens to one block or one module. Passes hand
// out spans that are valid during the call only. Order everywhere is by site name, never by
// arrival; nothing depends on the number of threads or on how parameters are cut into blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace tributary::aggregators {

// What is known about one update besides its tensors. All numbers are the site's own word.
struct Contribution {
  std::string site;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;
  std::int64_t steps = 0;                // optimizer steps really done
  double learning_rate_sum = 0;          // over those steps
  std::int64_t staleness = 0;            // versions published since the one it started from
  std::vector<std::int64_t> ranks = {};  // of the global LoRA ranks, those it trained; empty: all
};

// One stretch of consecutive parameters of one tensor. All spans have one length.
struct Block {
  std::string_view tensor;
  std::size_t tensor_index = 0;  // in manifest order
  std::size_t offset = 0;        // of the first parameter within the tensor
  // Per contribution: the update, trained minus the version it started from, in fp32.
  std::span<const std::span<const float>> updates;
  // Per contribution: the second vector that SCAFFOLD's sites send; empty for other strategies.
  std::span<const std::span<const float>> second;
  // In: the current version. Out: the next.
  std::span<float> global;
  // The state vectors of this pass, in its order. In: their values, zeros the first time. Out: the
  // next.
  std::span<const std::span<float>> state;
};

// Inner products of whole vectors in fp64: first the updates, then state vectors, in the order
// asked for.
struct Geometry {
  std::size_t count = 0;
  std::vector<double> gram;  // count x count, row-major, symmetric
  double Dot(std::size_t i, std::size_t j) const { return gram[i * count + j]; }
  double SquaredDistance(std::size_t i, std::size_t j) const {  // never negative
    const double d = Dot(i, i) + Dot(j, j) - 2 * Dot(i, j);
    return d > 0 ? d : 0;
  }
};

// A low-rank product s B A, A: rank x in, B: out x rank, row-major.
struct FactorView {
  std::int64_t rank = 0;
  std::span<const float> a;
  std::span<const float> b;
};
struct Factors {
  std::int64_t rank = 0;
  std::vector<float> a;
  std::vector<float> b;
  FactorView View() const { return {rank, a, b}; }
};

// One LoRA pair, with what every site made of it.
struct Module {
  std::string_view name;  // "base_model.model.model.layers.0.self_attn.q_proj"
  std::int64_t out = 0;
  std::int64_t in = 0;
  double scale = 1;   // s, common to all sites: W_eff = W + s B A
  FactorView global;  // the current version, of rank R
  // Per contribution, after training. Ranks are those of its `ranks`, in that order. A frozen
  // factor is the global one.
  std::span<const FactorView> sites;
};

// What becomes of one module.
struct ModuleResult {
  Factors next;  // of rank R
  // A product that sites add to their base weights for good, scale included: out x q and q x in.
  // Rank 0: none.
  Factors merged;
  double dropped_energy = 0;  // squared Frobenius norm of what was truncated
};

class Round {
 public:
  virtual ~Round() = default;

  virtual std::int64_t number() const = 0;            // from 1
  virtual std::uint64_t seed() const = 0;             // of the campaign; the same in every round
  virtual std::int64_t registered_sites() const = 0;  // N: those that take part in the campaign
  virtual std::span<const Contribution> contributions() const = 0;

  // The largest of a fraction of each tensor's magnitudes: per contribution and tensor (in manifest
  // order), the least magnitude among the ceil(fraction * n) largest. Fraction in (0, 1].
  virtual Result<std::vector<std::vector<float>>> MagnitudeThresholds(double fraction) = 0;

  // One pass over the updates and the named state vectors (zeros when there are none yet).
  virtual Result<Geometry> Measure(std::span<const std::string> state) = 0;

  // Makes the next version and the next values of the named state vectors, each as long as the
  // version. At most one such pass per round, by FoldBlocks,
  // FoldSum or FoldModules. `kernel` is called from several threads at once.
  using BlockKernel = std::function<void(const Block&)>;
  virtual Status FoldBlocks(std::span<const std::string> state, const BlockKernel& kernel) = 0;

  // The same for a kernel that needs nothing of the updates but sum = c_0 u_0 + c_1 u_1 + ..., in
  // this order, in fp32 (with more than 64 updates in fp64). Faster: values are summed as they lie.
  // `block.updates` and `block.second` are empty.
  using SumKernel = std::function<void(const Block&, std::span<const float> sum)>;
  virtual Status FoldSum(std::span<const float> coefficients, std::span<const std::string> state,
                         const SumKernel& kernel) = 0;

  // Reads every LoRA module without making anything. `visit` is called from several threads; index
  // counts modules in manifest order.
  using ModuleVisitor = std::function<void(std::size_t index, const Module&)>;
  virtual Status VisitModules(const ModuleVisitor& visit) = 0;
  virtual std::size_t module_count() const = 0;

  // Makes the next version module by module; tensors that are not LoRA factors go through `others`,
  // without state.
  using ModuleKernel = std::function<Result<ModuleResult>(std::size_t index, const Module&)>;
  virtual Status FoldModules(const ModuleKernel& kernel, const BlockKernel& others) = 0;

  // Numbers that last from round to round, by name; kept with the version, bit for bit.
  virtual std::map<std::string, double>& numbers() = 0;
};

}  // namespace tributary::aggregators
