#include "aggregators/file_round.h"

#include <algorithm>
#include <cmath>

#include "aggregators/file_round_passes.h"
#include "aggregators/kernels.h"
#include "aggregators/update_file.h"
#include "core/catch_all.h"

namespace tributary::aggregators {
namespace {

bool IsScaleOf(const SafetensorsFile& file, const std::string& name) {
  if (!name.ends_with(kScaleSuffix)) return false;
  const SafetensorsEntry* of = file.Find(name.substr(0, name.size() - kScaleSuffix.size()));
  return of != nullptr && of->spec.dtype == DType::kI8;
}

Result<TensorSource> SourceOf(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  switch (entry.spec.dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBf16:
      return TensorSource(&file, &entry, nullptr);
    case DType::kI8: {
      TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsEntry* scales, FindScales(file, entry));
      return TensorSource(&file, &entry, scales);
    }
    default:
      return InvalidArgumentError("tensor " + entry.spec.name + " has dtype " +
                                  std::string(DTypeName(entry.spec.dtype)) +
                                  "; must be F32, F16, BF16 or I8");
  }
}

// A sum of squares of finite floats cannot overflow fp64, so it finds every NaN and infinity.
double ScanTensor(const TensorSource& source, std::size_t size, std::vector<float>* scratch) {
  double squares = 0;
  for (std::size_t at = 0; at < size; at += kScanBlock) {
    const std::size_t count = std::min(kScanBlock, size - at);
    squares += SumOfSquares(source.Read(at, count, scratch->data()));
    source.Release(at, count);
  }
  return squares;
}

}  // namespace

Result<RoundOutput> FoldRound(const Aggregator& aggregator, RoundInput input,
                              const std::string& directory, const std::string& prefix) {
  const auto sites = static_cast<std::int64_t>(input.updates.size());
  if (sites < aggregator.MinSites()) {
    return InvalidArgumentError(std::to_string(sites) + " updates; this strategy needs at least " +
                                std::to_string(aggregator.MinSites()));
  }
  const TrainDirective directive = aggregator.Directive(input.number);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto round,
                             FileRound::Open(std::move(input), directive, directory, prefix));
  auto output = Result<RoundOutput>(InternalError("the round was not folded"));
  const Status folded = CatchAll("the fold", [&]() -> Status {
    TRIBUTARY_RETURN_IF_ERROR(aggregator.Fold(*round));
    output = round->TakeOutput();
    return output.status();
  });
  const Status intact = round->CheckIntact();  // says more than what came of damaged bytes
  if (folded.ok() && intact.ok()) return output;
  round->Discard();
  return intact.ok() ? folded : intact;
}

Result<UpdateScan> ScanUpdate(const SafetensorsFile& update) {
  UpdateScan scan;
  double squares = 0;
  std::vector<float> scratch(kScanBlock);
  for (const SafetensorsEntry& entry : update.header().tensors) {
    TRIBUTARY_ASSIGN_OR_RETURN(const TensorSource source, SourceOf(update, entry));
    const double sum = ScanTensor(source, entry.spec.ElementCount(), &scratch);
    if (!std::isfinite(sum) && scan.finite) {
      scan.finite = false;
      scan.first_bad_tensor = entry.spec.name;
    }
    const std::string& name = entry.spec.name;
    if (!name.starts_with(kSecondPrefix) && !IsScaleOf(update, name)) squares += sum;
  }
  TRIBUTARY_RETURN_IF_ERROR(update.Intact());
  scan.norm = std::sqrt(squares);
  return scan;
}

}  // namespace tributary::aggregators
