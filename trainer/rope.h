// Rotary position embeddings (arXiv:2104.09864): the angle per position of each pair of dimensions.
#pragma once

#include <cstdint>
#include <vector>

namespace tributary::trainer {

// How config.json's rope_scaling stretches the frequencies.
struct RopeScaling {
  enum class Kind : std::uint8_t { kNone, kLinear, kLlama3 };
  Kind kind = Kind::kNone;
  double factor = 1;
  // Llama 3.1: wavelengths above original_positions / low_freq_factor are divided by `factor`,
  // those below original_positions / high_freq_factor are kept, between them both are mixed.
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  std::int64_t original_positions = 8192;
};

// head_dim / 2 angles per position: theta^(-2i/head_dim), scaled.
std::vector<double> RotaryFrequencies(std::int64_t head_dim, double theta,
                                      const RopeScaling& scaling);

}  // namespace tributary::trainer
