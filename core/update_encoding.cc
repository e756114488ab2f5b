#include "core/update_encoding.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tributary {

UpdateDtype UpdateDtypeOf(std::string_view name) {
  if (name == "bf16") return UpdateDtype::kBf16;
  return name == "int8" ? UpdateDtype::kI8 : UpdateDtype::kF32;
}

TensorSpec ScaleSpec(const TensorSpec& of) {
  const std::size_t groups = (of.ElementCount() + kScaleGroup - 1) / kScaleGroup;
  return {of.name + std::string(kScaleSuffix), DType::kF32, {static_cast<std::int64_t>(groups)}};
}

Manifest EncodedManifest(const Manifest& manifest, UpdateDtype dtype) {
  Manifest encoded;
  for (TensorSpec spec : manifest) {
    if (dtype == UpdateDtype::kI8) encoded.push_back(ScaleSpec(spec));
    if (dtype != UpdateDtype::kF32) {
      spec.dtype = dtype == UpdateDtype::kBf16 ? DType::kBf16 : DType::kI8;
    }
    encoded.push_back(std::move(spec));
  }
  std::sort(encoded.begin(), encoded.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  return encoded;
}

std::uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

float ScaleOf(std::span<const float> group) {
  float largest = 0;
  for (const float value : group) largest = std::max(largest, std::abs(value));
  return largest / 127;
}

std::int8_t ToI8(float value, float scale) {
  if (scale == 0) return 0;
  return static_cast<std::int8_t>(std::clamp(std::nearbyint(value / scale), -127.0F, 127.0F));
}

void RoundTrip(UpdateDtype dtype, std::span<float> values) {
  if (dtype == UpdateDtype::kBf16) {
    for (float& value : values) value = std::bit_cast<float>(std::uint32_t{ToBf16(value)} << 16);
  } else if (dtype == UpdateDtype::kI8) {
    for (std::size_t at = 0; at < values.size(); at += kScaleGroup) {
      const auto group = values.subspan(at, std::min(kScaleGroup, values.size() - at));
      const float scale = ScaleOf(group);
      for (float& value : group) value = scale * static_cast<float>(ToI8(value, scale));
    }
  }
}

}  // namespace tributary
