#include "client/egress_guard.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

#include "client/policy.h"
#include "core/files.h"
#include "core/tensor_file.h"
#include "core/text.h"
#include "core/wire_bounds.h"

namespace tributary::client {
namespace {

// The largest magnitude as bits, which order as the numbers do; NaN and infinity are the largest.
bool IsFinite(std::span<const float> values) {
  std::uint32_t largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(value) & 0x7fffffffU);
  }
  return std::isfinite(std::bit_cast<float>(largest));
}

// Makes the values that leave, and notes the first tensor with one that may not.
class UpdateValues {
 public:
  UpdateValues(const TensorReader& trained, const TensorReader& start, const TensorReader& control,
               const TensorReader& residual, double learning_rate_sum)
      : trained_(trained),
        start_(start),
        control_(control),
        residual_(residual),
        inverse_(learning_rate_sum > 0 ? 1 / learning_rate_sum : 0) {}

  void operator()(const TensorSpec& spec, std::size_t offset, std::span<float> out) {
    const bool second = spec.name.starts_with(kSecondPrefix);
    const std::string_view name =
        std::string_view(spec.name).substr(second ? kSecondPrefix.size() : 0);
    const auto y = trained_.Find(name).subspan(offset, out.size());
    const auto x = start_.Find(name).subspan(offset, out.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = y[i] - x[i];
    if (const auto kept = residual_.Find(name); kept.size() == spec.ElementCount()) {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += kept[offset + i];
    }
    trained_.Release(y);
    start_.Release(x);
    if (second) ToControlChange(name, offset, out);
    if (bad_.empty() && !IsFinite(out)) bad_ = spec.name;
  }
  const std::string& bad() const { return bad_; }

 private:
  void ToControlChange(std::string_view name, std::size_t offset, std::span<float> out) const {
    const auto c = control_.Find(name);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double own = c.empty() ? 0 : c[offset + i];
      out[i] = static_cast<float>(-own - out[i] * inverse_);
    }
  }

  const TensorReader& trained_;
  const TensorReader& start_;
  const TensorReader& control_;
  const TensorReader& residual_;
  const double inverse_;
  std::string bad_;
};

Status CheckSize(const Manifest& update, const ByteSize& max_update) {
  std::uint64_t bytes = 0;
  for (const TensorSpec& spec : update) bytes += spec.ByteCount();
  if (bytes <= max_update.bytes) return OkStatus();
  return PermissionDeniedError("an update of " + std::to_string(bytes) +
                               " bytes is over policy.max_update of " + FormatByteSize(max_update));
}

}  // namespace

Result<SafetensorsWriter::Written> WriteUpdateFile(const UpdateFiles& files,
                                                   const UpdateRules& rules) {
  if (!PathExists(files.trained)) return NotFoundError(files.trained + " is not there");
  TRIBUTARY_ASSIGN_OR_RETURN(const auto trained,
                             TensorReader::Open(files.trained, OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto start, TensorReader::Open(files.start, OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto control,
                             TensorReader::Open(files.control, OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto residual,
                             TensorReader::Open(files.residual, OnDamage::kReport));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckManifest(rules.trained, start.ToManifest()).Annotate("global adapter"));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckManifest(rules.trained, trained.ToManifest()).Annotate("trained adapter"));
  TRIBUTARY_RETURN_IF_ERROR(control.CheckFits(rules.trained).Annotate("server state"));
  const Manifest manifest = UpdateManifest(rules.trained, rules.directive);
  const UpdateDtype dtype = rules.directive.dtype;
  TRIBUTARY_RETURN_IF_ERROR(CheckSize(EncodedManifest(manifest, dtype), rules.max_update));
  if (rules.directive.offset == GradientOffset::kControlVariate && !(rules.learning_rate_sum > 0)) {
    return InvalidArgumentError(
        "result.json: learning_rate_sum is missing; the campaign's strategy needs it");
  }
  UpdateValues values(trained, start, control, residual, rules.learning_rate_sum);
  auto written = WriteEncodedFile(files.update, manifest, dtype, std::ref(values));
  Status intact;  // the trainer's files lie where others may write
  for (const TensorReader* read : {&trained, &start, &control, &residual}) {
    if (intact.ok()) intact = read->Intact();
  }
  if (values.bad().empty() && intact.ok()) return written;
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(files.update));
  if (!intact.ok()) return intact;
  return InvalidArgumentError("tensor " + values.bad() + " holds a value that is not finite");
}

std::map<std::string, double> FilterMetrics(const std::map<std::string, double>& metrics,
                                            const PolicySection& policy) {
  std::map<std::string, double> kept;
  for (const auto& [name, value] : metrics) {
    if (kept.size() == static_cast<std::size_t>(kMaxMetrics)) break;
    if (name.size() > kMaxMetricName || Printable(name) != name) continue;
    if (std::isfinite(value) && MatchesAny(policy.metrics, name)) kept[name] = value;
  }
  return kept;
}

}  // namespace tributary::client
