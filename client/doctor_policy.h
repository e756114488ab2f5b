// The doctor's look at what the site would accept: its policy, and the models and data it names.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "client/client_config.h"
#include "client/doctor_check.h"
#include "client/trainer_inspection.h"

namespace tributary::client {

// What campaigns may do here, in one line, and what is open wider than it should be.
Checks CheckPolicy(const ClientConfig& config);

// What the site's trainer says of each model of the policy, by name, and of all data with it. A
// model is missing where the trainer does not say.
using Inspections = std::map<std::string, Inspection>;
Inspections AskTrainerOfAll(const ClientConfig& config, std::chrono::seconds limit);

// One for each model: what the trainer says of it. Where it does not: config.json parses, and the
// headers of its safetensors files, all that an index names.
Checks CheckModels(const ClientConfig& config, const Inspections& said = {});

// One for each file: what the trainer says of it, with the model for which it says the worst. Where
// it does not: its first line is an example of the form in docs/task_directory.md.
Checks CheckData(const ClientConfig& config, const Inspections& said = {});

}  // namespace tributary::client
