// The doctor's look at what the site would accept: its policy, and the models and data it names.
#pragma once

#include "client/client_config.h"
#include "client/doctor_check.h"

namespace tributary::client {

// What campaigns may do here, in one line, and what is open wider than it should be.
Checks CheckPolicy(const ClientConfig& config);

// One for each model: config.json parses, and the headers of its safetensors files, all that an
// index names.
Checks CheckModels(const ClientConfig& config);

// One for each file: its first line is an example of the form in docs/task_directory.md.
Checks CheckData(const ClientConfig& config);

}  // namespace tributary::client
