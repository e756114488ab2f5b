#include "client/site_state.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <vector>

#include "client/rank_pruning.h"
#include "client/task_start.h"
#include "core/files.h"
#include "core/task_contract.h"
#include "core/tensor_file.h"

namespace tributary::client {
namespace {

constexpr std::int64_t kOldestResidual = 10;  // versions

// state + factor * change, tensor by tensor; `prefix` is what the change's names begin with.
Status WriteMoved(const std::string& path, const TensorReader& state, const TensorReader& change,
                  std::string_view prefix, double factor) {
  Manifest manifest;
  for (TensorSpec spec : change.ToManifest()) {
    if (spec.name.starts_with(kSecondPrefix) == prefix.empty()) continue;
    spec.name.erase(0, prefix.size());
    manifest.push_back(std::move(spec));
  }
  return WriteTensorFile(path, manifest,
                         [&](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
                           const auto old = state.Find(spec.name);
                           const auto moved = change.Find(std::string(prefix) + spec.name);
                           for (std::size_t i = 0; i < out.size(); ++i) {
                             const double before = old.size() == moved.size() ? old[offset + i] : 0;
                             out[i] = static_cast<float>(before + factor * moved[offset + i]);
                           }
                         })
      .status();
}

Status WriteLocalB(const std::string& path, const TensorReader& trained) {
  Manifest manifest = trained.ToManifest();
  std::erase_if(manifest, [](const TensorSpec& spec) { return !IsLoraB(spec.name); });
  return WriteTensorFile(path, manifest,
                         [&](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
                           const auto values = trained.Find(spec.name).subspan(offset, out.size());
                           std::copy(values.begin(), values.end(), out.begin());
                         })
      .status();
}

// (trained - start + old residual) minus what the server reads of it. Tensors that did not travel
// keep what they had.
Status WriteResidual(const std::string& path, const UpdateFiles& files,
                     const TrainDirective& directive, std::int64_t version) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto trained,
                             TensorReader::Open(files.trained, OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto start, TensorReader::Open(files.start, OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto residual,
                             TensorReader::Open(files.residual, OnDamage::kReport));
  const Manifest manifest = trained.ToManifest();
  std::set<std::string> sent;
  for (const TensorSpec& spec : UpdateManifest(manifest, directive)) sent.insert(spec.name);
  std::vector<float> received;
  const auto values = [&](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
    const auto kept = residual.Find(spec.name);
    const auto old = [&](std::size_t i) {
      return kept.size() == spec.ElementCount() ? kept[offset + i] : 0.0F;
    };
    if (!sent.contains(spec.name)) {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = old(i);
      return;
    }
    const auto y = trained.Find(spec.name).subspan(offset, out.size());
    const auto x = start.Find(spec.name).subspan(offset, out.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = (y[i] - x[i]) + old(i);
    received.assign(out.begin(), out.end());
    RoundTrip(directive.dtype, received);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] -= received[i];
  };
  TRIBUTARY_RETURN_IF_ERROR(
      WriteTensorFile(path, manifest, values,
                      {{std::string(kResidualVersion), std::to_string(version)}})
          .status());
  for (const TensorReader* read : {&trained, &start, &residual}) {
    TRIBUTARY_RETURN_IF_ERROR(read->Intact());
  }
  return OkStatus();
}

}  // namespace

Result<std::string> ResidualFor(const TrainDirective& directive, std::int64_t version,
                                const std::string& state) {
  const std::string path = JoinPath(state, kResidualFile);
  if (!directive.error_feedback || !PathExists(path)) return std::string();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto residual, TensorReader::Open(path));
  const std::string made = residual.Metadata(std::string(kResidualVersion));
  const std::int64_t against = std::strtoll(made.c_str(), nullptr, 10);
  return version - against <= kOldestResidual ? path : std::string();
}

Status MakeNextState(const UpdateFiles& files, const TrainDirective& directive,
                     const TrainedTask& task, const std::string& state, const std::string& next) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(next));
  if (directive.offset == GradientOffset::kControlVariate) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto update,
                               TensorReader::Open(files.update, OnDamage::kReport));
    TRIBUTARY_ASSIGN_OR_RETURN(
        const auto own, TensorReader::Open(JoinPath(state, kControlFile), OnDamage::kReport));
    TRIBUTARY_RETURN_IF_ERROR(
        WriteMoved(JoinPath(next, kControlFile), own, update, kSecondPrefix, 1));
    TRIBUTARY_RETURN_IF_ERROR(update.Intact());
    TRIBUTARY_RETURN_IF_ERROR(own.Intact());
  }
  if (directive.offset == GradientOffset::kDualGradient) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto update,
                               TensorReader::Open(files.update, OnDamage::kReport));
    TRIBUTARY_ASSIGN_OR_RETURN(const auto own,
                               TensorReader::Open(JoinPath(state, kDualFile), OnDamage::kReport));
    TRIBUTARY_RETURN_IF_ERROR(
        WriteMoved(JoinPath(next, kDualFile), own, update, "", -directive.proximal));
    TRIBUTARY_RETURN_IF_ERROR(update.Intact());
    TRIBUTARY_RETURN_IF_ERROR(own.Intact());
  }
  if (directive.keep_b_local) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto trained,
                               TensorReader::Open(files.trained, OnDamage::kReport));
    TRIBUTARY_RETURN_IF_ERROR(WriteLocalB(JoinPath(next, kLocalBFile), trained));
    TRIBUTARY_RETURN_IF_ERROR(trained.Intact());
  }
  if (directive.error_feedback) {
    TRIBUTARY_RETURN_IF_ERROR(
        WriteResidual(JoinPath(next, kResidualFile), files, directive, task.version));
  }
  if (task.pruning) {
    TRIBUTARY_RETURN_IF_ERROR(WriteKeptRanks(files, *task.pruning, state, next));
  }
  if (directive.keep_optimizer && PathExists(task.optimizer)) {
    return RenameDurably(task.optimizer, JoinPath(next, kOptimizerFile));
  }
  return OkStatus();
}

Status CommitState(const std::string& next, const std::string& state) {
  if (!PathExists(next)) return OkStatus();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(next));
  for (const std::string& name : names) {
    TRIBUTARY_RETURN_IF_ERROR(RenameDurably(JoinPath(next, name), JoinPath(state, name)));
  }
  return OkStatus();
}

}  // namespace tributary::client
