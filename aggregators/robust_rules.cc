#include "aggregators/robust_rules.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace tributary::aggregators {

Status RequireSites(const Round& round, std::int64_t needed, std::string_view rule) {
  const auto sites = static_cast<std::int64_t>(round.contributions().size());
  if (sites >= needed) return OkStatus();
  return InvalidArgumentError(std::to_string(sites) + " updates; " + std::string(rule) +
                              " needs at least " + std::to_string(needed));
}

std::vector<double> KrumScores(const Geometry& geometry, std::span<const std::size_t> among,
                               std::size_t neighbours) {
  std::vector<double> scores;
  std::vector<double> distances;
  for (const std::size_t i : among) {
    distances.clear();
    for (const std::size_t j : among) {
      if (j != i) distances.push_back(geometry.SquaredDistance(i, j));
    }
    std::sort(distances.begin(), distances.end());
    const std::size_t count = std::min(neighbours, distances.size());
    scores.push_back(std::accumulate(distances.begin(),
                                     distances.begin() + static_cast<std::ptrdiff_t>(count), 0.0));
  }
  return scores;
}

std::vector<std::size_t> Lowest(std::span<const double> scores, std::size_t count) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t x, std::size_t y) { return scores[x] < scores[y]; });
  order.resize(std::min(count, order.size()));
  return order;
}

double DistanceTo(const Geometry& geometry, std::span<const double> c, std::size_t k) {
  double squared = geometry.Dot(k, k);
  for (std::size_t i = 0; i < c.size(); ++i) {
    squared -= 2 * c[i] * geometry.Dot(i, k);
    for (std::size_t j = 0; j < c.size(); ++j) squared += c[i] * c[j] * geometry.Dot(i, j);
  }
  return std::sqrt(std::max(0.0, squared));
}

std::vector<double> MeanOf(std::span<const std::size_t> chosen, std::size_t sites) {
  std::vector<double> coefficients(sites);
  for (const std::size_t k : chosen) coefficients[k] = 1.0 / static_cast<double>(chosen.size());
  return coefficients;
}

Status AddColumnStatistic(Round& round, std::span<const std::size_t> sites, double eta,
                          const ColumnStatistic& statistic) {
  const ColumnSorter sorter(sites.size());
  const auto step = static_cast<float>(eta);
  return round.FoldBlocks({}, [&](const Block& block) {
    std::vector<std::span<const float>> rows;
    for (const std::size_t k : sites) rows.push_back(block.updates[k]);
    ColumnSorter::Tile tile;
    std::array<float, ColumnSorter::kTile> out;
    for (std::size_t at = 0; at < block.global.size(); at += ColumnSorter::kTile) {
      const std::size_t count = std::min(ColumnSorter::kTile, block.global.size() - at);
      sorter.Sort(rows, at, count, &tile);
      statistic(tile, out.data());
      for (std::size_t i = 0; i < count; ++i) block.global[at + i] += step * out[i];
    }
  });
}

std::vector<std::size_t> AllSites(const Round& round) {
  std::vector<std::size_t> sites(round.contributions().size());
  std::iota(sites.begin(), sites.end(), std::size_t{0});
  return sites;
}

}  // namespace tributary::aggregators
