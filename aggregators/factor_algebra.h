// Small algebra on LoRA factors: norms and inner products of products, rotations, least squares.
// All of it through matrices no larger than rank x rank; fp64.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "aggregators/round.h"

namespace tributary::aggregators {

struct ModuleShape {
  std::int64_t out = 0;
  std::int64_t in = 0;
};

// <B_x A_x, B_y A_y> = trace((B_y^T B_x)(A_x A_y^T)).
double ProductDot(const ModuleShape& shape, const FactorView& x, const FactorView& y);

// Frobenius norm of B A.
double ProductNorm(const ModuleShape& shape, const FactorView& x);

// Inner products of all pairs: count x count, row-major, symmetric.
std::vector<double> ProductGram(const ModuleShape& shape, std::span<const FactorView> products);

// Which factors two bases are compared by.
enum class AlignBy : std::uint8_t { kA, kB };

// The factors of `site` in a rotated basis, B R and R^T A: the same product. R is the rotation
// (determinant 1) that brings the chosen factor nearest to the reference's, weakened to
// polar((1 - strength) I + strength R); strength in [0, 1]. Directions that site and reference do
// not share stay as they are, so a reference of zeros rotates nothing. Equal ranks.
Factors Rotated(const ModuleShape& shape, const FactorView& site, const FactorView& reference,
                AlignBy by, double strength);

// The X [out x rank] nearest to solving X A = sum_k w_k E_k F_k in the least-squares sense with
// ridge |X|^2 * ridge:  X = (sum_k w_k E_k F_k A^T) (A A^T + ridge I)^-1. With ridge 0 and
// dependent rows of A, the solution of least norm. `a` is rank x in; the E_k F_k are `terms`.
// Row-major.
std::vector<double> RidgeSolution(const ModuleShape& shape, std::span<const FactorView> terms,
                                  std::span<const double> weights, std::int64_t rank,
                                  std::span<const float> a, double ridge);

}  // namespace tributary::aggregators
