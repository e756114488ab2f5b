// The demonstration's base model: pretrained here, fetched, or given.
#pragma once

#include <string>

#include "cli/demo_output.h"
#include "cli/demo_plan.h"
#include "core/status.h"

namespace tributary::cli {

// Fetches or checks a model that is not made up, and completes the plan with its directory. What is
// wrong with a given directory is an error here, before anything is trained.
Status PrepareModel(DemoOutput& output, DemoPlan* plan);

// A directory whose config.json gives adapters their shapes before the model itself is there.
Result<std::string> ModelShapes(const DemoPlan& plan);

// Pretrains the made-up base where there is none yet, from the texts in plan.data. It works in
// BaseWork(plan), which stays when it is stopped: the next demonstration goes on from there.
Status PretrainBase(DemoOutput& output, const DemoPlan& plan, const TrainerPool& pool);
std::string BaseWork(const DemoPlan& plan);

}  // namespace tributary::cli
