// Sums of low-rank products without the dense matrix: the core below the LoRA strategies
// (reference/algorithms.md, C.0.2 and C.0.3).
//
//   P = sum_k sum_j w_kj b_kj a_kj = L R,   L: out x S, R: S x in, S = all ranks together
//
// A weight is used once, on L. Everything is fp64 from the first addition on: the columns of many
// sites are nearly parallel, and fp32 orthogonalisation loses the small singular values that mixed
// ranks are about. Cost O((out + in) S^2 + S^3). Single-threaded; the same input gives the same
// bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "aggregators/round.h"
#include "core/status.h"

namespace tributary::aggregators {

// The largest singular values of a product, descending, with orthonormal u_j and v_j. The entry of
// largest magnitude in each u_j is positive, so that signs do not depend on the build. Vectors of
// equal singular values are a basis of a unique subspace, not unique themselves.
struct SingularTriplets {
  std::int64_t out = 0;
  std::int64_t in = 0;
  std::vector<double> sigma;
  std::vector<double> u;      // out x rank(), column after column
  std::vector<double> v;      // in x rank(), column after column
  double dropped_energy = 0;  // sum of the squares of the singular values that were left out

  std::int64_t rank() const { return static_cast<std::int64_t>(sigma.size()); }
  // How many are larger than `tolerance` times the largest.
  std::int64_t NumericalRank(double tolerance) const;
};

// Where the singular values go.
enum class Split : std::uint8_t {
  kSymmetric,  // B = U Sigma^1/2, A = Sigma^1/2 V^T: best conditioned for training both
  kLeft,       // B = U Sigma, A = V^T: A has orthonormal rows
  kRight,      // B = U, A = Sigma V^T
};

class StackedProduct {
 public:
  StackedProduct(std::int64_t out, std::int64_t in) : out_(out), in_(in) {}

  // Adds weight * B A. Weights may be negative; ranks of weight 0 are left out.
  void Add(const FactorView& product, double weight);
  // Adds sum_j weights[j] b_j a_j; one weight for each rank of `product`.
  void Add(const FactorView& product, std::span<const double> weights);
  // The same without the ranks that are nothing because a factor of theirs is zero.
  void AddLive(const FactorView& product, double weight);
  void AddLive(const FactorView& product, std::span<const double> weights);

  std::int64_t rank() const { return rank_; }  // S

  // As stacked: B = L, A = R, rounded to fp32.
  Factors ToFactors() const;

  // The `most` largest singular values, fewer when min(S, out, in) is less: the best approximation
  // of that rank (Eckart-Young). Works for S larger than a dimension, and for parallel or zero
  // columns. Invalid argument when a factor is not finite.
  Result<SingularTriplets> Svd(std::int64_t most) const;

 private:
  std::int64_t out_;
  std::int64_t in_;
  std::int64_t rank_ = 0;
  std::vector<double> left_;   // out x S, column after column, weighted
  std::vector<double> right_;  // in x S, column after column
};

// Triplets [begin, end) as factors with scale * B A = sum_j sigma_j u_j v_j^T.
Factors SplitTriplets(const SingularTriplets& triplets, std::int64_t begin, std::int64_t end,
                      Split split, double scale);

// The first triplets as factors of the rank of `current`, the version they replace. A rank that
// carries nothing gets B = 0 and its row of the current A, as in a fresh adapter: with both factors
// zero it could never be trained again.
Factors NextFactors(const SingularTriplets& triplets, Split split, double scale,
                    const FactorView& current);

}  // namespace tributary::aggregators
