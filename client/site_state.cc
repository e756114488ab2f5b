#include "client/site_state.h"

#include <algorithm>

#include "client/task_start.h"
#include "core/files.h"
#include "core/task_contract.h"
#include "core/tensor_file.h"

namespace tributary::client {
namespace {

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

}  // namespace

Status MakeNextState(const UpdateFiles& files, const TrainDirective& directive,
                     const std::string& optimizer, const std::string& state,
                     const std::string& next) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(next));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto update, TensorReader::Open(files.update));
  if (directive.offset == GradientOffset::kControlVariate) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto own, TensorReader::Open(JoinPath(state, kControlFile)));
    TRIBUTARY_RETURN_IF_ERROR(
        WriteMoved(JoinPath(next, kControlFile), own, update, kSecondPrefix, 1));
  }
  if (directive.offset == GradientOffset::kDualGradient) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto own, TensorReader::Open(JoinPath(state, kDualFile)));
    TRIBUTARY_RETURN_IF_ERROR(
        WriteMoved(JoinPath(next, kDualFile), own, update, "", -directive.proximal));
  }
  if (directive.keep_b_local) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto trained, TensorReader::Open(files.trained));
    TRIBUTARY_RETURN_IF_ERROR(WriteLocalB(JoinPath(next, kLocalBFile), trained));
  }
  if (directive.keep_optimizer && PathExists(optimizer)) {
    return RenameDurably(optimizer, JoinPath(next, kOptimizerFile));
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
