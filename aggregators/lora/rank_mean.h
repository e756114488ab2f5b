// Weighted means of LoRA factors, rank by rank: who trained which rank, and what happens to a rank
// that some sites did not train.
//
// Row j of A and column j of B, over the sites T_j that trained rank j:
//   left out:  x_j + eta sum_{k in T_j} (p_k / P_j) (y_kj - x_j),   P_j = sum_{k in T_j} p_k
//   kept:      x_j + eta sum_{k in T_j} p_k (y_kj - x_j):  others count as unchanged
//   zero:      x_j + eta (sum_{k in T_j} p_k y_kj - x_j)
// Ranks that nobody trained stay as they are, except with zero. Accumulated in fp64 and rounded
// once: sites that did not move leave the version bit for bit.
#pragma once

#include <cstdint>
#include <vector>

#include "aggregators/lora/lora_aggregator.h"

namespace tributary::aggregators {

// The global rank that is the i-th of a contribution's factors.
inline std::int64_t TrainedRank(const Contribution& contribution, std::int64_t i) {
  return contribution.ranks.empty() ? i : contribution.ranks[static_cast<std::size_t>(i)];
}

// P_j for every j below `rank`: the weight of the sites that trained rank j.
std::vector<double> RankMass(const LoraRound& round, std::int64_t rank);

// The weight of the others: exactly 0 where everybody trained j.
std::vector<double> MissingMass(const LoraRound& round, std::int64_t rank);

// Invalid argument names the first site that did not train all ranks of the module.
Status RequireAllRanks(const LoraRound& round, const Module& module);

enum class Missing : std::uint8_t { kLeftOut, kKept, kZero };

struct MeanRule {
  bool a = true;  // false: A stays
  bool b = true;
  Missing missing = Missing::kLeftOut;
  double rate = 1;  // eta
};

Factors MeanFactors(const LoraRound& round, const Module& module, const MeanRule& rule);

// What `site` trained minus the same ranks of `mean`.
Factors Deviation(const Contribution& contribution, const FactorView& site, const Factors& mean,
                  const Module& module);

}  // namespace tributary::aggregators
