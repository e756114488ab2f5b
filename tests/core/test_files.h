// Files for tests: a directory of their own, and small safetensors files in one line.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/safetensors.h"

namespace tributary {

// A directory for one test; gone afterwards.
class TestDirectory {
 public:
  TestDirectory() : directory_(std::move(TemporaryDirectory::Create("tributary-test-")).value()) {}
  const std::string& path() const { return directory_.path(); }
  std::string operator/(std::string_view name) const { return JoinPath(path(), name); }

 private:
  TemporaryDirectory directory_;
};

struct NamedFloats {
  std::string name;
  std::vector<float> values;
  std::vector<std::int64_t> shape = {};  // empty: one dimension
};

inline std::vector<HostTensor> ToHostTensors(const std::vector<NamedFloats>& tensors) {
  std::vector<HostTensor> host;
  for (const NamedFloats& tensor : tensors) {
    HostTensor& out = host.emplace_back();
    out.spec.name = tensor.name;
    out.spec.shape = tensor.shape;
    if (out.spec.shape.empty()) {
      out.spec.shape = {static_cast<std::int64_t>(tensor.values.size())};
    }
    const auto bytes = std::as_bytes(std::span(tensor.values));
    out.bytes.assign(bytes.begin(), bytes.end());
  }
  return host;
}

inline Digest WriteFloats(const std::string& path, const std::vector<NamedFloats>& tensors) {
  const auto written = WriteSafetensors(path, ToHostTensors(tensors));
  EXPECT_TRUE(written.ok()) << written.status();
  return written.ok() ? written->digest : Digest{};
}

inline std::vector<float> ReadFloats(const std::string& path, std::string_view name) {
  const auto file = SafetensorsFile::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok() || file->Find(name) == nullptr) return {};
  const auto values = file->Floats(*file->Find(name));
  return {values.begin(), values.end()};
}

// The bytes of a file with this header text and `data_bytes` bytes of zeros.
inline std::string RawSafetensors(std::string_view header, std::size_t data_bytes) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes += header;
  bytes.append(data_bytes, '\0');
  return bytes;
}

}  // namespace tributary
