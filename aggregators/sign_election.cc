#include "aggregators/sign_election.h"

#include <algorithm>

#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr std::size_t kPiece = 512;

void MeanOfRows(std::span<const float> rows, std::size_t count, std::span<float> out) {
  std::fill(out.begin(), out.end(), 0.0F);
  const float share = 1.0F / static_cast<float>(count);
  for (std::size_t k = 0; k < count; ++k) {
    const float* row = rows.data() + k * kPiece;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += share * row[i];
  }
}

}  // namespace

void ElectSigns(std::span<const float> rows, std::size_t count, std::size_t stride,
                std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    float sum = 0;
    for (std::size_t k = 0; k < count; ++k) sum += rows[k * stride + i];
    float elected = 0;
    float voters = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const float value = rows[k * stride + i];
      const bool agrees = sum >= 0 ? value > 0 : value < 0;
      elected += agrees ? value : 0;
      voters += agrees ? 1.0F : 0.0F;
    }
    out[i] = voters > 0 ? elected / voters : 0;
  }
}

Status AddMerged(Round& round, Merge merge, double factor, const KeepPart& keep) {
  const std::size_t sites = round.contributions().size();
  const auto step = static_cast<float>(factor);
  return round.FoldBlocks({}, [&](const Block& block) {
    std::vector<float> rows(sites * kPiece);
    std::vector<float> merged(kPiece);
    for (std::size_t at = 0; at < block.global.size(); at += kPiece) {
      const std::size_t count = std::min(kPiece, block.global.size() - at);
      const std::span<float> out(merged.data(), count);
      for (std::size_t k = 0; k < sites; ++k) {
        keep(block, k, block.offset + at, block.updates[k].subspan(at, count),
             {rows.data() + k * kPiece, count});
      }
      if (merge == Merge::kMean) {
        MeanOfRows(rows, sites, out);
      } else {
        ElectSigns(rows, sites, kPiece, out);
      }
      for (std::size_t i = 0; i < count; ++i) block.global[at + i] += step * out[i];
    }
  });
}

}  // namespace tributary::aggregators
