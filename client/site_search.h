// Looks on this machine for what a site's file names: models, trainers, a place for the workspace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tributary::client {

struct FoundModel {
  std::string name;         // for the policy: the directory's own, in lower case
  std::string directory;    // with config.json and *.safetensors
  std::string type;         // model_type of its config.json
  std::uint64_t bytes = 0;  // of its weights
};

// The models below each root that is there: its directories, and the snapshots of a Hugging Face
// cache (models--ORG--NAME/snapshots/REVISION; the one that refs/main names, if any). By name, each
// name once; a later one of the same name has its number appended.
std::vector<FoundModel> FindModels(const std::vector<std::string>& roots);

// Where people keep models: HF_HUB_CACHE or else HF_HOME/hub, ~/.cache/huggingface/hub, ~/models.
std::vector<std::string> ModelRoots();

struct FoundTrainer {
  std::vector<std::string> command;  // job.trainer
  std::string description;
  bool accelerators = false;  // computes on GPUs
};

// The trainers that can be run on this machine: tributary-trainer beside this program, and the
// Python trainer of this installation under an interpreter that has what it needs (asked for at
// most half a minute each). One that computes on accelerators is first when `accelerators`.
std::vector<FoundTrainer> FindTrainers(bool accelerators);

// A directory for tasks: below SCRATCH or WORK, when jobs of a batch system run (`batch`) and the
// environment names one that is there; else empty.
std::string SharedDirectory(bool batch);

}  // namespace tributary::client
