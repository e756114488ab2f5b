// How the values of an update travel: as they are, rounded to bf16, or as int8 with a scale for
// every 4096 values. What rounding takes away is the site's residual (error feedback,
// arXiv:1901.09847).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace tributary {

enum class UpdateDtype : std::uint8_t { kF32, kBf16, kI8 };

// "f32", "bf16", "int8". `name` is one of them.
UpdateDtype UpdateDtypeOf(std::string_view name);

// Values that share a scale in an I8 tensor; "<name>.scale" holds one F32 per group.
inline constexpr std::size_t kScaleGroup = 4096;
inline constexpr std::string_view kScaleSuffix = ".scale";
TensorSpec ScaleSpec(const TensorSpec& of);

// `manifest`, all F32, as it travels; sorted by name.
Manifest EncodedManifest(const Manifest& manifest, UpdateDtype dtype);

// To the nearest, ties to even. Infinities stay; the caller has refused NaN.
std::uint16_t ToBf16(float value);

// The scale of one group, max |x| / 127, or 0 when all are 0.
float ScaleOf(std::span<const float> group);
// round(x / scale), at most 127 in magnitude.
std::int8_t ToI8(float value, float scale);

// What the receiver will read. `values` begins at a group's begin.
void RoundTrip(UpdateDtype dtype, std::span<float> values);

}  // namespace tributary
