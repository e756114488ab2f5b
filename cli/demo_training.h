// Trainer runs of the demonstration outside of the federation: the base model, the sites alone, the
// pool, the evaluations.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/peft_adapter.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::cli {

// One run of tributary-trainer in a directory of its own.
struct TrainerRun {
  std::string label;      // for people
  std::string command;    // train | evaluate | pretrain
  std::string directory;  // prepared task directory
};

// Prepares a task directory: task.json, and the adapter to start from or to evaluate.
Status PrepareTask(const std::string& directory, const TaskFile& task,
                   const std::string& adapter_path, const AdapterConfig& adapter);

// Runs them, `parallel` at a time; `progress` hears lines like "chemistry-physics alone: step
// 120/200 loss 3.9" about twice a second. The first failure ends the others and carries the end of
// its log.
Status RunTrainers(const std::vector<TrainerRun>& runs, int parallel,
                   const std::function<void(const std::string&)>& progress);

// update/result.json of a finished run.
Result<TaskResult> ReadTrainerResult(const std::string& directory);

}  // namespace tributary::cli
