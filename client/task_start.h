// What a train task starts from, as the campaign's strategy asks: the site's part of the global
// adapter, the products that belong to the base weights, and what is added to the gradient.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/task_contract.h"
#include "core/train_directive.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// Files that the site keeps for a campaign from task to task, in its state/.
inline constexpr std::string_view kControlFile = "control.safetensors";     // SCAFFOLD's c_k
inline constexpr std::string_view kDualFile = "dual_gradient.safetensors";  // FedDyn's q_k
inline constexpr std::string_view kLocalBFile = "local_lora_B.safetensors";
// What rounding took from the last update; "version" in its metadata: what that one was against.
inline constexpr std::string_view kResidualFile = "residual.safetensors";
inline constexpr std::string_view kResidualVersion = "version";

// The tensors that a version of the campaign has.
Manifest OfferedManifest(const v1::CampaignOffer& offer);

// Invalid argument for a directive that this version does not know.
Result<TrainDirective> DirectiveOf(const v1::TaskAssignment& task);

// Names of files in a task's directory.
struct StartPaths {
  std::string directory;  // of the task
  std::string state;      // of the campaign at this site
  std::string Version() const { return directory + "/version.safetensors"; }
  std::string Merged(int index) const;
  std::string ServerState(const std::string& name) const;
  std::string Start() const;  // global/adapter_model.safetensors
};

// Makes global/ and what else `file` is to name, from the downloaded files of StartPaths; fills the
// strategy's part of `file`. Invalid argument when these are not of the tensors that the offer
// announced.
Status PrepareStart(const StartPaths& paths, const v1::CampaignOffer& offer,
                    const v1::TaskAssignment& task, TaskFile* file);

}  // namespace tributary::client
