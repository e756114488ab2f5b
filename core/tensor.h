// What a tensor is called, and how it is laid out; no storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace tributary {

// The safetensors element types that travel here. Little-endian, row-major.
enum class DType : std::uint8_t { kF64, kF32, kF16, kBf16, kI64, kI32, kI16, kI8, kU8, kBool };

std::size_t DTypeBytes(DType dtype);
std::string_view DTypeName(DType dtype);  // "F32", as safetensors writes it
Result<DType> ParseDType(std::string_view name);

struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;

  // Product of the shape; 1 for a scalar. A spec read by our parsers never overflows.
  std::size_t ElementCount() const;
  std::size_t ByteCount() const { return ElementCount() * DTypeBytes(dtype); }
  std::string ShapeText() const;  // "[8, 64]"

  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

// Tensors ordered by name: the order in which every program of ours walks an adapter.
using Manifest = std::vector<TensorSpec>;

// OK when `actual` has the names, shapes and dtypes of `expected`, in any order. The error names up
// to five differences: missing, extra, shape, dtype.
Status CheckManifest(const Manifest& expected, const Manifest& actual);

}  // namespace tributary
