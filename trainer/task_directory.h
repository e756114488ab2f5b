// The trainer's side of the task directory (core/task_contract.h, docs/task_directory.md).
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/weights.h"

namespace tributary::trainer {

struct Adapter;

// True when update/ is there and no failure: the task is done and nothing is to be redone.
bool HasUpdate(const std::string& directory);

// A failure is of a run before this one, of a job that its scheduler starts again (it was told to
// stop before its first step, say): it goes, and the task is begun anew.
Status RemoveFailure(const std::string& directory);

Result<TaskFile> ReadTask(const std::string& directory);

// The files of task.merged.
std::vector<std::string> MergedPaths(const std::string& directory, const TaskFile& task);

// Writes update/ whole, by way of update.tmp-XXXXXX, with result.json and, if `adapter` is not
// null, its trained weights and configuration; with the optimizer's state if there is one.
// Leftovers of killed trainers are removed.
Status WriteUpdate(const std::string& directory, const TaskResult& result, const Adapter* adapter,
                   const NamedTensors& optimizer = {});

}  // namespace tributary::trainer
