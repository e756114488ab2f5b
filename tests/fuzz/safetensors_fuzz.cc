#include <algorithm>

#include "core/safetensors.h"
#include "core/text.h"
#include "tests/core/test_files.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {

void FuzzSafetensors(std::string_view bytes) {
  const auto header = ParseSafetensorsHeader(std::as_bytes(std::span(bytes)), bytes.size());
  if (!header.ok()) {
    Require(!header.status().message().empty(), "an error says why");
    return;
  }
  std::uint64_t covered = 0;
  for (const SafetensorsEntry& entry : header->tensors) {
    Require(entry.begin >= 8 && entry.begin <= bytes.size(), "a tensor begins inside the file");
    Require(entry.spec.ByteCount() <= bytes.size() - entry.begin, "a tensor ends inside the file");
    Require(IsUtf8(entry.spec.name) && !entry.spec.name.empty(), "a name is text");
    covered += entry.spec.ByteCount();
  }
  Require(covered < bytes.size(), "tensors do not overlap");
  Require(std::is_sorted(header->tensors.begin(), header->tensors.end(),
                         [](const auto& a, const auto& b) { return a.spec.name < b.spec.name; }),
          "tensors are sorted by name");
  Require(CheckManifest(header->ToManifest(), header->ToManifest()).ok(), "names are unique");
}

std::vector<std::string> SafetensorsSeeds() {
  const std::string two = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                          R"("b":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]}})";
  std::vector<std::string> seeds = {
      "",
      RawSafetensors("{}", 0),
      RawSafetensors(two, 12),
      RawSafetensors(two, 13),
      RawSafetensors(two, 12).substr(0, 60),
      RawSafetensors(R"({"__metadata__":{"format":"pt"}})", 0),
      RawSafetensors(R"({"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}})", 2),
      RawSafetensors(R"({"a":{"dtype":"F32","shape":[0,9],"data_offsets":[0,0]}})", 0),
      RawSafetensors(
          R"({"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8),
      RawSafetensors(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1)};
  std::string huge = RawSafetensors("{}", 0);
  std::fill_n(huge.begin(), 8, '\xFF');
  seeds.push_back(huge);
  return seeds;
}

}  // namespace tributary
