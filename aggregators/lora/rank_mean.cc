#include "aggregators/lora/rank_mean.h"

#include <algorithm>
#include <string>

namespace tributary::aggregators {
namespace {

bool Trained(const Contribution& contribution, std::int64_t rank) {
  return contribution.ranks.empty() ||
         std::find(contribution.ranks.begin(), contribution.ranks.end(), rank) !=
             contribution.ranks.end();
}

std::vector<double> MassOf(const LoraRound& round, std::int64_t rank, bool trained) {
  std::vector<double> mass(static_cast<std::size_t>(rank));
  for (std::int64_t j = 0; j < rank; ++j) {
    for (std::size_t k = 0; k < round.contributions.size(); ++k) {
      if (Trained(round.contributions[k], j) == trained) {
        mass[static_cast<std::size_t>(j)] += round.weights[k];
      }
    }
  }
  return mass;
}

// Row j of an A, or column j of a B.
struct Line {
  const float* values = nullptr;
  std::int64_t stride = 1;
  float operator[](std::int64_t i) const { return values[i * stride]; }
};

Line RowOfA(const FactorView& f, std::int64_t j, std::int64_t in) {
  return {f.a.data() + j * in, 1};
}
Line ColumnOfB(const FactorView& f, std::int64_t j) { return {f.b.data() + j, f.rank}; }

// Where one site's version of a rank lies, and its share of the mean.
struct Trainer {
  std::size_t site = 0;
  std::int64_t index = 0;
  double share = 0;
};

std::vector<Trainer> TrainersOf(const LoraRound& round, const Module& module, std::int64_t rank,
                                double divisor) {
  std::vector<Trainer> trainers;
  for (std::size_t k = 0; k < module.sites.size(); ++k) {
    for (std::int64_t i = 0; i < module.sites[k].rank; ++i) {
      if (TrainedRank(round.contributions[k], i) != rank) continue;
      trainers.push_back({k, i, divisor > 0 ? round.weights[k] / divisor : 0});
    }
  }
  return trainers;
}

struct LineMean {
  std::vector<double> shares;
  double shrink = 0;  // the part of x that the absent sites' zeros take away
  double rate = 1;

  float At(float x, const std::vector<Line>& lines, std::int64_t i) const {
    double step = -shrink * x;
    for (std::size_t k = 0; k < lines.size(); ++k) {
      step += shares[k] * (static_cast<double>(lines[k][i]) - x);
    }
    return static_cast<float>(x + rate * step);
  }
};

}  // namespace

std::vector<double> RankMass(const LoraRound& round, std::int64_t rank) {
  return MassOf(round, rank, true);
}

std::vector<double> MissingMass(const LoraRound& round, std::int64_t rank) {
  return MassOf(round, rank, false);
}

Status RequireAllRanks(const LoraRound& round, const Module& module) {
  for (std::size_t k = 0; k < module.sites.size(); ++k) {
    if (module.sites[k].rank == module.global.rank) continue;
    return InvalidArgumentError(
        "site " + round.contributions[k].site + " trained " + std::to_string(module.sites[k].rank) +
        " of " + std::to_string(module.global.rank) +
        " ranks; this strategy needs all of them from every site: leave out adapter.site_ranks, "
        "or choose a strategy for mixed ranks, for example raflora");
  }
  return OkStatus();
}

Factors MeanFactors(const LoraRound& round, const Module& module, const MeanRule& rule) {
  const FactorView& x = module.global;
  Factors next{x.rank, {x.a.begin(), x.a.end()}, {x.b.begin(), x.b.end()}};
  const std::vector<double> mass = RankMass(round, x.rank);
  const std::vector<double> missing = MissingMass(round, x.rank);
  for (std::int64_t j = 0; j < x.rank; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const bool zero = rule.missing == Missing::kZero;
    const bool by_mass = rule.missing == Missing::kLeftOut;
    const auto trainers = TrainersOf(round, module, j, by_mass ? mass[at] : 1);
    LineMean mean{.shares = {}, .shrink = zero ? missing[at] : 0, .rate = rule.rate};
    std::vector<Line> rows, columns;
    for (const Trainer& trainer : trainers) {
      mean.shares.push_back(trainer.share);
      rows.push_back(RowOfA(module.sites[trainer.site], trainer.index, module.in));
      columns.push_back(ColumnOfB(module.sites[trainer.site], trainer.index));
    }
    const Line row = RowOfA(x, j, module.in);
    const Line column = ColumnOfB(x, j);
    for (std::int64_t i = 0; rule.a && i < module.in; ++i) {
      next.a[static_cast<std::size_t>(j * module.in + i)] = mean.At(row[i], rows, i);
    }
    for (std::int64_t i = 0; rule.b && i < module.out; ++i) {
      next.b[static_cast<std::size_t>(i * x.rank + j)] = mean.At(column[i], columns, i);
    }
  }
  return next;
}

Factors Deviation(const Contribution& contribution, const FactorView& site, const Factors& mean,
                  const Module& module) {
  Factors deviation{site.rank, {site.a.begin(), site.a.end()}, {site.b.begin(), site.b.end()}};
  for (std::int64_t i = 0; i < site.rank; ++i) {
    const std::int64_t j = TrainedRank(contribution, i);
    const Line row = RowOfA(mean.View(), j, module.in);
    const Line column = ColumnOfB(mean.View(), j);
    for (std::int64_t n = 0; n < module.in; ++n) {
      deviation.a[static_cast<std::size_t>(i * module.in + n)] -= row[n];
    }
    for (std::int64_t m = 0; m < module.out; ++m) {
      deviation.b[static_cast<std::size_t>(m * site.rank + i)] -= column[m];
    }
  }
  return deviation;
}

}  // namespace tributary::aggregators
