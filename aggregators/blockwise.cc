#include "aggregators/blockwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>

namespace tributary::aggregators {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;  // parameters: 256 KiB of fp32
// With many sites blocks are smaller, so that the parts of all updates that are mapped at a time
// stay within 4 MiB.
constexpr std::size_t kMappedParameters = std::size_t{1} << 20;
constexpr std::size_t kLeastBlock = std::size_t{4} << 10;

std::size_t BlockFor(std::size_t updates) {
  const std::size_t share = kMappedParameters / std::max<std::size_t>(1, updates);
  return std::clamp(share, kLeastBlock, kBlock);
}

// Sum of squares in fp64; independent lanes, in a fixed order, so that the compiler may use vector
// registers.
double SumOfSquares(std::span<const float> values) {
  constexpr std::size_t kLanes = 16;
  std::array<double, kLanes> lanes{};
  std::size_t at = 0;
  for (; at + kLanes <= values.size(); at += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[at + lane];
      lanes[lane] += value * value;
    }
  }
  for (; at < values.size(); ++at) lanes[0] += static_cast<double>(values[at]) * values[at];
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
}

struct OpenUpdate {
  std::string site;
  SafetensorsFile file;
};

// Folds one tensor; `block` is scratch, as long as the blocks.
Status FoldTensor(const Aggregator& aggregator, const SafetensorsFile& global,
                  const SafetensorsEntry& entry, const std::vector<OpenUpdate>& updates,
                  std::vector<float>* block, SafetensorsWriter* next) {
  const std::span<const float> current = global.Floats(entry);
  std::vector<std::span<const float>> whole;
  whole.reserve(updates.size());
  for (const OpenUpdate& update : updates) {
    whole.push_back(update.file.Floats(*update.file.Find(entry.spec.name)));
  }
  std::vector<std::span<const float>> parts(updates.size());
  for (std::size_t at = 0; at < current.size(); at += block->size()) {
    const std::size_t count = std::min(block->size(), current.size() - at);
    std::copy_n(current.data() + at, count, block->data());
    for (std::size_t k = 0; k < whole.size(); ++k) parts[k] = whole[k].subspan(at, count);
    const std::span<float> out(block->data(), count);
    aggregator.FoldBlock(parts, out);
    TRIBUTARY_RETURN_IF_ERROR(next->Append(std::as_bytes(out)));
    global.Release(std::as_bytes(current.subspan(at, count)));
    for (std::size_t k = 0; k < updates.size(); ++k) {
      updates[k].file.Release(std::as_bytes(parts[k]));
    }
  }
  return OkStatus();
}

Status RequireFloats(const Manifest& manifest) {
  for (const TensorSpec& spec : manifest) {
    if (spec.dtype != DType::kF32) {
      return InvalidArgumentError("tensor " + spec.name + " of the global adapter has dtype " +
                                  std::string(DTypeName(spec.dtype)) + "; must be F32");
    }
  }
  return OkStatus();
}

}  // namespace

Result<SafetensorsWriter::Written> FoldUpdates(Aggregator& aggregator,
                                               const std::string& global_path,
                                               std::vector<SpooledUpdate> updates,
                                               const std::string& next_path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile global, SafetensorsFile::Open(global_path));
  const Manifest manifest = global.ToManifest();
  TRIBUTARY_RETURN_IF_ERROR(RequireFloats(manifest));
  std::sort(updates.begin(), updates.end(),
            [](const auto& a, const auto& b) { return a.contribution.site < b.contribution.site; });
  std::vector<Contribution> contributions;
  std::vector<OpenUpdate> open;
  for (const SpooledUpdate& update : updates) {
    const std::string context = "update of site " + update.contribution.site;
    TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile file,
                               SafetensorsFile::Open(update.path).Annotate(context));
    TRIBUTARY_RETURN_IF_ERROR(CheckManifest(manifest, file.ToManifest()).Annotate(context));
    contributions.push_back(update.contribution);
    open.push_back({update.contribution.site, std::move(file)});
  }
  TRIBUTARY_RETURN_IF_ERROR(aggregator.Begin(contributions));
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter next,
                             SafetensorsWriter::Create(next_path, manifest));
  std::vector<float> block(BlockFor(open.size()));
  for (const SafetensorsEntry& entry : global.header().tensors) {
    TRIBUTARY_RETURN_IF_ERROR(FoldTensor(aggregator, global, entry, open, &block, &next));
  }
  return next.Finish();
}

Result<UpdateScan> ScanUpdate(const SafetensorsFile& update) {
  UpdateScan scan;
  double squares = 0;
  for (const SafetensorsEntry& entry : update.header().tensors) {
    if (entry.spec.dtype != DType::kF32) {
      return InvalidArgumentError("tensor " + entry.spec.name + " has dtype " +
                                  std::string(DTypeName(entry.spec.dtype)) + "; must be F32");
    }
    const std::span<const float> values = update.Floats(entry);
    for (std::size_t at = 0; at < values.size(); at += kBlock) {
      const std::span<const float> part = values.subspan(at, std::min(kBlock, values.size() - at));
      const double sum = SumOfSquares(part);
      // A sum of squares of finite floats cannot overflow fp64, so this finds every NaN and
      // infinity.
      if (!std::isfinite(sum) && scan.finite) {
        scan.finite = false;
        scan.first_bad_tensor = entry.spec.name;
      }
      squares += sum;
      update.Release(std::as_bytes(part));
    }
  }
  scan.norm = std::sqrt(squares);
  return scan;
}

}  // namespace tributary::aggregators
