// `tributary-trainer train`: one train task of a campaign.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <string>

#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/device.h"

namespace tributary::trainer {

// Carries out the train task in `directory` and writes update/: complete, or partial
// when `stop` became true after at least one step. On an error nothing is written; the caller
// reports it.
Result<TaskResult> RunTrainTask(const std::string& directory, const TaskFile& task,
                                const Compute& compute, const std::function<bool()>& stop);

}  // namespace tributary::trainer
