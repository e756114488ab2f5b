#include "client/rank_pruning.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "core/files.h"
#include "core/json.h"
#include "core/tensor_file.h"

namespace tributary::client {
namespace {

// Ranks [first, end) of the factors.
struct RankRange {
  std::int64_t first;
  std::int64_t end;
};

double Norm(std::span<const float> values, std::int64_t rows, std::int64_t columns,
            RankRange rows_of, RankRange columns_of) {
  double squares = 0;
  for (std::int64_t row = rows_of.first; row < std::min(rows, rows_of.end); ++row) {
    for (std::int64_t column = columns_of.first; column < std::min(columns, columns_of.end);
         ++column) {
      const double value = values[static_cast<std::size_t>(row * columns + column)];
      squares += value * value;
    }
  }
  return std::sqrt(squares);
}

// Sum over modules of |B[:, ranks]| |A[ranks, :]|, Frobenius norms.
double ProductOfNorms(const TensorReader& adapter, RankRange ranks) {
  constexpr RankRange kAll{0, std::numeric_limits<std::int64_t>::max()};
  double sum = 0;
  const Manifest manifest = adapter.ToManifest();
  for (const TensorSpec& a : manifest) {
    if (!IsLoraA(a.name)) continue;
    const std::string name = LoraBOf(a.name);
    const auto b = std::find_if(manifest.begin(), manifest.end(),
                                [&](const TensorSpec& spec) { return spec.name == name; });
    if (b == manifest.end()) continue;
    sum += Norm(adapter.Find(a.name), a.shape[0], a.shape[1], ranks, kAll) *
           Norm(adapter.Find(name), b->shape[0], b->shape[1], kAll, ranks);
  }
  return sum;
}

}  // namespace

Result<std::int64_t> KeptRanks(const std::string& state, std::int64_t rank) {
  const std::string path = JoinPath(state, kKeptRanksFile);
  if (!PathExists(path)) return rank;
  TRIBUTARY_ASSIGN_OR_RETURN(const nlohmann::json object, ReadJsonFile(path));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, path, &problems);
  const std::int64_t kept = reader.Int("kept", 1, std::numeric_limits<std::int64_t>::max());
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return std::min(kept, rank);
}

std::int64_t FirstPenalisedRank(const RankPruning& pruning, std::int64_t kept) {
  const auto first = static_cast<std::int64_t>(pruning.decay * static_cast<double>(kept));
  return std::min(kept, std::max(first, pruning.least));
}

Status WriteKeptRanks(const UpdateFiles& files, const PrunedRanks& pruning,
                      const std::string& state, const std::string& next) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto start, TensorReader::Open(files.start, OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto trained,
                             TensorReader::Open(files.trained, OnDamage::kReport));
  const RankRange last{pruning.from, pruning.kept};
  const bool shrank = ProductOfNorms(trained, last) < ProductOfNorms(start, last);
  TRIBUTARY_RETURN_IF_ERROR(start.Intact());
  TRIBUTARY_RETURN_IF_ERROR(trained.Intact());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::int64_t kept,
                             KeptRanks(state, shrank ? pruning.from : pruning.kept));
  return WriteFileAtomic(JoinPath(next, kKeptRanksFile),
                         nlohmann::json{{"kept", kept}}.dump() + "\n");
}

}  // namespace tributary::client
