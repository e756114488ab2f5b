// What the robust strategies share: the sites they need, and rules on distances and on sorted
// values (algorithms.md B).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "aggregators/kernels.h"
#include "aggregators/round.h"
#include "core/status.h"

namespace tributary::aggregators {

// Invalid argument when fewer than `needed` sites contribute: a rule that holds with fewer sites
// than it is proven for protects nobody.
Status RequireSites(const Round& round, std::int64_t needed, std::string_view rule);

// Krum's score of each of `among` (positions in `geometry`): the sum of its `neighbours` smallest
// squared distances to the others.
std::vector<double> KrumScores(const Geometry& geometry, std::span<const std::size_t> among,
                               std::size_t neighbours);

// The `count` positions with the lowest scores, lowest first; of equal ones the first site.
std::vector<std::size_t> Lowest(std::span<const double> scores, std::size_t count);

// |sum_i c_i v_i - v_k|, from inner products alone. `c` may be shorter than the geometry.
double DistanceTo(const Geometry& geometry, std::span<const double> c, std::size_t k);

// Coefficients of the chosen sites' plain mean.
std::vector<double> MeanOf(std::span<const std::size_t> chosen, std::size_t sites);

// x <- x + eta * statistic, with one number for each coordinate out of the sorted values of `sites`
// (positions among the contributions). `statistic` fills out[0 .. ColumnSorter::kTile).
using ColumnStatistic = std::function<void(const ColumnSorter::Tile&, float* out)>;
Status AddColumnStatistic(Round& round, std::span<const std::size_t> sites, double eta,
                          const ColumnStatistic& statistic);

std::vector<std::size_t> AllSites(const Round& round);

}  // namespace tributary::aggregators
