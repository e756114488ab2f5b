// The passes that only look: inner products, and order statistics of magnitudes.
#include <algorithm>
#include <bit>
#include <cmath>

#include "aggregators/file_round_passes.h"
#include "aggregators/kernels.h"

namespace tributary::aggregators {
namespace {

// The sums of Measure() depend on where stretches end, in the last bits: they end at the same
// parameters for any number of sites and threads.
constexpr std::size_t kGramStretch = std::size_t{64} << 10;
constexpr std::size_t kGramBlock = std::size_t{4} << 10;

// The position, from below, and how many values lie in the buckets below it.
struct Bucket {
  std::uint32_t index = 0;
  std::uint64_t above = 0;
};

// The bucket of the `rank`-th largest (from 1).
Bucket FindFromAbove(std::span<const std::uint64_t> counts, std::uint64_t rank) {
  Bucket bucket;
  for (std::size_t i = counts.size(); i-- > 0;) {
    if (bucket.above + counts[i] >= rank) {
      bucket.index = static_cast<std::uint32_t>(i);
      return bucket;
    }
    bucket.above += counts[i];
  }
  return bucket;
}

// The `rank`-th largest magnitude, by radix selection: two passes, whatever the size.
float MagnitudeOfRank(const TensorSource& source, std::size_t size, std::uint64_t rank) {
  std::vector<float> scratch(std::min(size, kScanBlock));
  const auto scan = [&](auto&& visit) {
    for (std::size_t at = 0; at < size; at += kScanBlock) {
      const std::size_t count = std::min(kScanBlock, size - at);
      visit(source.Read(at, count, scratch.data()));
      source.Release(at, count);
    }
  };
  std::vector<std::uint64_t> counts(std::size_t{1} << 16);
  scan([&](std::span<const float> values) { CountLeadingBits(values, counts); });
  const Bucket leading = FindFromAbove(counts, rank);
  counts.assign(std::size_t{1} << 15, 0);
  scan([&](std::span<const float> values) { CountTrailingBits(values, leading.index, counts); });
  const Bucket trailing = FindFromAbove(counts, rank - leading.above);
  return std::bit_cast<float>(leading.index << 15 | trailing.index);
}

}  // namespace

Result<std::vector<std::vector<float>>> FileRound::MagnitudeThresholds(double fraction) {
  if (!(fraction > 0 && fraction <= 1)) {
    return InvalidArgumentError("a fraction of " + std::to_string(fraction) +
                                " of the values; must be above 0 and at most 1");
  }
  TRIBUTARY_RETURN_IF_ERROR(RequireEqualRanks());
  const std::size_t tensors = manifest_.size();
  std::vector<std::vector<float>> thresholds(updates_.size(), std::vector<float>(tensors));
  TRIBUTARY_RETURN_IF_ERROR(
      RunItems(updates_.size() * tensors, {}, [&](unsigned, std::size_t item) {
        const std::size_t tensor = item % tensors;
        const std::size_t size = manifest_[tensor].ElementCount();
        if (size == 0) return OkStatus();
        // 0.1 * 30 is a little more than 3 in binary; 3 are meant.
        const double wanted = std::ceil(fraction * static_cast<double>(size) * (1 - 1e-12));
        const auto rank = static_cast<std::uint64_t>(std::max(1.0, wanted));
        thresholds[item / tensors][tensor] =
            MagnitudeOfRank(updates_[item / tensors].tensors[tensor], size, rank);
        return OkStatus();
      }));
  return thresholds;
}

Result<Geometry> FileRound::Measure(std::span<const std::string> state) {
  TRIBUTARY_RETURN_IF_ERROR(RequireEqualRanks());
  TRIBUTARY_ASSIGN_OR_RETURN(const auto vectors, OpenState(state));
  std::vector<const OpenUpdate*> inputs;
  for (const OpenUpdate& update : updates_) inputs.push_back(&update);
  for (const OpenUpdate& vector : vectors) inputs.push_back(&vector);
  const std::size_t n = inputs.size();
  Geometry geometry{n, std::vector<double>(n * n)};
  const std::vector<Stretch> stretches = Cut(kGramStretch, /*factors=*/true);
  std::vector<Turns> turns(1);
  std::vector<std::vector<float>> scratch(std::max(1U, input_.threads));
  TRIBUTARY_RETURN_IF_ERROR(
      RunItems(stretches.size(), turns, [&](unsigned thread, std::size_t item) {
        const Stretch& stretch = stretches[item];
        std::vector<double> gram(n * n);
        std::vector<std::span<const float>> parts(n);
        scratch[thread].resize(n * kGramBlock);
        for (std::size_t at = 0; at < stretch.count; at += kGramBlock) {
          const std::size_t count = std::min(kGramBlock, stretch.count - at);
          for (std::size_t i = 0; i < n; ++i) {
            parts[i] = inputs[i]->tensors[stretch.tensor].Read(
                stretch.begin + at, count, scratch[thread].data() + i * kGramBlock);
          }
          AddGram(parts, gram.data());
        }
        if (!turns[0].Wait(item)) return AbortedError("another thread failed");
        for (std::size_t i = 0; i < n * n; ++i) geometry.gram[i] += gram[i];
        turns[0].Pass();
        Release(stretch, vectors);
        return OkStatus();
      }));
  TRIBUTARY_RETURN_IF_ERROR(CheckIntact(vectors));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) geometry.gram[i * n + j] = geometry.gram[j * n + i];
  }
  return geometry;
}

}  // namespace tributary::aggregators
