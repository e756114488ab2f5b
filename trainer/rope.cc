#include "trainer/rope.h"

#include <cmath>
#include <numbers>

namespace tributary::trainer {
namespace {

double Llama3(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(scaling.original_positions);
  if (wavelength < original / scaling.high_freq_factor) return frequency;
  if (wavelength > original / scaling.low_freq_factor) return frequency / scaling.factor;
  const double kept = (original / wavelength - scaling.low_freq_factor) /
                      (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

}  // namespace

std::vector<double> RotaryFrequencies(std::int64_t head_dim, double theta,
                                      const RopeScaling& scaling) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const double frequency =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    switch (scaling.kind) {
      case RopeScaling::Kind::kNone:
        frequencies.push_back(frequency);
        break;
      case RopeScaling::Kind::kLinear:
        frequencies.push_back(frequency / scaling.factor);
        break;
      case RopeScaling::Kind::kLlama3:
        frequencies.push_back(Llama3(frequency, scaling));
        break;
    }
  }
  return frequencies;
}

}  // namespace tributary::trainer
