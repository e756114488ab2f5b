// Where a model is computed. Base weights are there; what is trained, its gradients and its
// optimizer stay on the CPU, and are sent over in each pass.
#pragma once

#include <c10/core/Device.h>

#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary::trainer {

// "auto": a CUDA device where there is one, else the CPU; "cpu"; "cuda". Process `rank` of a job
// takes device rank modulo the node's devices. Failed precondition for cuda where LibTorch has
// none.
Result<at::Device> ChooseDevice(std::string_view name, int rank);

// "cpu", or "cpu, 2 x cuda".
std::string DevicesText();

}  // namespace tributary::trainer
