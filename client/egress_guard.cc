#include "client/egress_guard.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "client/policy.h"

namespace tributary::client {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;  // parameters

// delta = trained - global for one tensor, block by block.
Status AppendDelta(const SafetensorsEntry& entry, const SafetensorsFile& trained,
                   const SafetensorsFile& global, std::vector<float>* block,
                   SafetensorsWriter* out) {
  const std::span<const float> y = trained.Floats(entry);
  const std::span<const float> x = global.Floats(*global.Find(entry.spec.name));
  for (std::size_t at = 0; at < y.size(); at += kBlock) {
    const std::size_t count = std::min(kBlock, y.size() - at);
    // The largest magnitude as bits, which order as the numbers do; NaN and infinity are the
    // largest.
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const float delta = y[at + i] - x[at + i];
      (*block)[i] = delta;
      largest = std::max(largest, std::bit_cast<std::uint32_t>(delta) & 0x7fffffffU);
    }
    if (!std::isfinite(std::bit_cast<float>(largest))) {
      return InvalidArgumentError("tensor " + entry.spec.name +
                                  " holds a value that is not finite");
    }
    TRIBUTARY_RETURN_IF_ERROR(out->Append(std::as_bytes(std::span(block->data(), count))));
    trained.Release(std::as_bytes(y.subspan(at, count)));
    global.Release(std::as_bytes(x.subspan(at, count)));
  }
  return OkStatus();
}

}  // namespace

Result<SafetensorsWriter::Written> WriteDelta(const std::string& trained_path,
                                              const std::string& global_path,
                                              const Manifest& manifest, const ByteSize& max_update,
                                              const std::string& delta_path) {
  for (const TensorSpec& spec : manifest) {
    if (spec.dtype != DType::kF32) {
      return InvalidArgumentError("tensor " + spec.name + " of the campaign's adapter has dtype " +
                                  std::string(DTypeName(spec.dtype)) + "; must be F32");
    }
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto trained, SafetensorsFile::Open(trained_path));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto global, SafetensorsFile::Open(global_path));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckManifest(manifest, global.ToManifest()).Annotate("global adapter"));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckManifest(manifest, trained.ToManifest()).Annotate("trained adapter"));
  if (trained.header().file_bytes > max_update.bytes) {
    return PermissionDeniedError("an update of " + std::to_string(trained.header().file_bytes) +
                                 " bytes is over policy.max_update of " +
                                 FormatByteSize(max_update));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(delta_path, manifest));
  std::vector<float> block(kBlock);
  for (const SafetensorsEntry& entry : trained.header().tensors) {
    TRIBUTARY_RETURN_IF_ERROR(AppendDelta(entry, trained, global, &block, &writer));
  }
  return writer.Finish();
}

std::map<std::string, double> FilterMetrics(const std::map<std::string, double>& metrics,
                                            const PolicySection& policy) {
  std::map<std::string, double> kept;
  for (const auto& [name, value] : metrics) {
    if (std::isfinite(value) && MatchesAny(policy.metrics, name)) kept[name] = value;
  }
  return kept;
}

}  // namespace tributary::client
