// Which tensors of an adapter are LoRA factors, and of which module. By name, never by shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"

namespace tributary::aggregators {

inline constexpr std::string_view kFactorA = ".lora_A.weight";
inline constexpr std::string_view kFactorB = ".lora_B.weight";

// "<module>.lora_A.weight" [rank, in] and "<module>.lora_B.weight" [out, rank].
struct ModulePair {
  std::string name;
  std::size_t a = 0;  // positions in the manifest
  std::size_t b = 0;
  std::int64_t rank = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
};

// In the order of the factors A in `manifest`, which is sorted by name. Invalid argument for a
// factor without its partner, or shapes that do not belong together.
Result<std::vector<ModulePair>> FindModules(const Manifest& manifest);

}  // namespace tributary::aggregators
