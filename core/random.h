// Seeded random numbers that are the same on every platform. Not for secrets.
#pragma once

#include <cstdint>
#include <string_view>

namespace tributary {

// SplitMix64 (Steele, Lea, Flood 2014). Not thread-safe.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    return Mix(state_);
  }
  // Uniform in [0, 1) with 24 random bits: exact in float and in double.
  double Unit() { return static_cast<double>(Next() >> 40) * 0x1p-24; }
  // Uniform in [0, bound), bound > 0, without bias.
  std::uint64_t Below(std::uint64_t bound) {
    const std::uint64_t reject_below = (0 - bound) % bound;  // 2^64 mod bound
    std::uint64_t value = Next();
    while (value < reject_below) value = Next();
    return value % bound;
  }

  // A bijection that scatters every bit of `z`.
  static std::uint64_t Mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

// FNV-1a: a stable number for a name.
inline std::uint64_t HashName(std::string_view name) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// A seed of its own for each (seed, purpose) pair.
inline std::uint64_t DeriveSeed(std::uint64_t seed, std::uint64_t purpose) {
  return SplitMix64(SplitMix64(seed).Next() ^ purpose).Next();
}

}  // namespace tributary
