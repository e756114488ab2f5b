#include "trainer/device.h"

#include <torch/cuda.h>

namespace tributary::trainer {

Result<at::Device> ChooseDevice(std::string_view name, int rank) {
  if (name != "auto" && name != "cpu" && name != "cuda") {
    return InvalidArgumentError("device: \"" + std::string(name) +
                                "\" is unknown; known: auto, cpu, cuda");
  }
  const auto devices = static_cast<int>(torch::cuda::device_count());
  if (name == "cuda" && devices == 0) {
    return FailedPreconditionError(
        "device: cuda: this LibTorch finds no CUDA device; use auto or cpu, or a trainer built "
        "with "
        "CUDA on a node that has one");
  }
  if (name == "cpu" || devices == 0) return at::Device(at::kCPU);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(rank % devices));
}

std::string DevicesText() {
  const auto devices = static_cast<int>(torch::cuda::device_count());
  return devices == 0 ? "cpu" : "cpu, " + std::to_string(devices) + " x cuda";
}

}  // namespace tributary::trainer
