#include "aggregators/fed_avg.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace tributary::aggregators {
namespace {

// Accumulators of one stretch stay in the L1 cache while every update passes over it.
constexpr std::size_t kStretch = 2048;

class FedAvg final : public Aggregator {
 public:
  explicit FedAvg(const AggregatorSection& section)
      : basis_(section.weights), server_learning_rate_(section.server_learning_rate) {}

  const Capabilities& capabilities() const override {
    static constexpr Capabilities kCapabilities{.secure_sum = true};
    return kCapabilities;
  }

  Status Begin(std::span<const Contribution> contributions) override {
    double total = 0;
    for (const Contribution& c : contributions) {
      if (Weight(c) < 0) {
        return InvalidArgumentError("site " + c.site + " reports a negative number of " + basis_);
      }
      total += Weight(c);
    }
    if (!(total > 0)) {
      return InvalidArgumentError("all updates have weight 0: no site reports any " + basis_);
    }
    coefficients_.clear();
    for (const Contribution& c : contributions) {
      coefficients_.push_back(static_cast<float>(server_learning_rate_ * Weight(c) / total));
    }
    return OkStatus();
  }

  void FoldBlock(std::span<const std::span<const float>> updates,
                 std::span<float> global) const override {
    std::array<float, kStretch> sum;
    for (std::size_t at = 0; at < global.size(); at += kStretch) {
      const std::size_t count = std::min(kStretch, global.size() - at);
      std::fill_n(sum.begin(), count, 0.0F);
      for (std::size_t k = 0; k < updates.size(); ++k) {
        const float* update = updates[k].data() + at;
        const float coefficient = coefficients_[k];
        for (std::size_t i = 0; i < count; ++i) sum[i] += coefficient * update[i];
      }
      float* out = global.data() + at;
      for (std::size_t i = 0; i < count; ++i) out[i] += sum[i];
    }
  }

 private:
  double Weight(const Contribution& c) const {
    if (basis_ == "samples") return static_cast<double>(c.samples);
    if (basis_ == "tokens") return static_cast<double>(c.tokens);
    if (basis_ == "steps") return static_cast<double>(c.steps);
    return 1;
  }

  const std::string basis_;
  const double server_learning_rate_;
  std::vector<float> coefficients_;
};

}  // namespace

std::unique_ptr<Aggregator> MakeFedAvg(const AggregatorSection& section) {
  return std::make_unique<FedAvg>(section);
}

}  // namespace tributary::aggregators
