// Trainer runs of the demonstration outside of the federation: the base model, the sites alone, the
// pool, the evaluations, samples of text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/peft_adapter.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::cli {

// One run of tributary-trainer in a directory of its own.
struct TrainerRun {
  std::string label;                        // for people
  std::string command;                      // train | evaluate | pretrain | generate
  std::string directory;                    // prepared task directory; the log goes there
  std::int64_t steps = 0;                   // that it will do; 0: not known
  std::vector<std::string> arguments = {};  // empty: "--task", directory
};
std::string OutputPath(const TrainerRun& run);  // of its standard output

struct TrainersProgress {
  std::string text;   // "pretraining: step 120/900 loss 3.9, about 40 s left"
  bool news = false;  // a trainer has begun with something else
};
using ProgressListener = std::function<void(const TrainersProgress&)>;

struct TrainerPool {
  int parallel = 1;                  // trainers at a time
  ProgressListener progress;         // hears of it about twice a second
  std::function<bool()> keep_going;  // asked often; false ends the trainers, in order
};

// Prepares a task directory: task.json, and the adapter to start from or to evaluate.
Status PrepareTask(const std::string& directory, const TaskFile& task,
                   const std::string& adapter_path, const AdapterConfig& adapter);

// Runs them in order. The first failure ends the others and carries the end of its log. None is
// left when it returns; cancelled, when it was told not to keep going.
Status RunTrainers(const std::vector<TrainerRun>& runs, const TrainerPool& pool);

// update/result.json of a finished run.
Result<TaskResult> ReadTrainerResult(const std::string& directory);

// The memory of the largest trainer so far, at its peak.
std::uint64_t LargestTrainerBytes();

}  // namespace tributary::cli
