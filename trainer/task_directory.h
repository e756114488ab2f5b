// The trainer's side of the task directory (core/task_contract.h, docs/task_directory.md).
#pragma once

#include <string>

#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::trainer {

struct Adapter;

// True when update/ is there: the task is done and nothing is to be redone.
bool HasUpdate(const std::string& directory);

Result<TaskFile> ReadTask(const std::string& directory);

// Writes update/ whole, by way of update.tmp-XXXXXX, with result.json and, if `adapter` is not
// null, its trained weights and configuration. Leftovers of killed trainers are removed.
Status WriteUpdate(const std::string& directory, const TaskResult& result, const Adapter* adapter);

}  // namespace tributary::trainer
