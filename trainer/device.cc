#include "trainer/device.h"

#include <ATen/ATen.h>
#include <torch/cuda.h>

namespace tributary::trainer {

at::Tensor Compute::Place(const at::Tensor& x) const {
  return x.to(device, dtype.value_or(x.scalar_type()));
}

Result<Compute> ChooseCompute(std::string_view device, std::string_view precision, int local_rank) {
  if (precision != "fp32" && precision != "bf16") {
    return InvalidArgumentError("compute: \"" + std::string(precision) +
                                "\" is unknown; known: fp32, bf16");
  }
  Compute compute;
  TRIBUTARY_ASSIGN_OR_RETURN(compute.device, ChooseDevice(device, local_rank));
  if (precision == "bf16") compute.dtype = at::kBFloat16;
  return compute;
}

Result<at::Device> ChooseDevice(std::string_view name, int local_rank) {
  if (name != "auto" && name != "cpu" && name != "cuda") {
    return InvalidArgumentError("device: \"" + std::string(name) +
                                "\" is unknown; known: auto, cpu, cuda");
  }
  const auto devices = static_cast<int>(torch::cuda::device_count());
  if (name == "cuda" && devices == 0) {
    return FailedPreconditionError(
        "device: cuda: this LibTorch finds no CUDA device; use auto or cpu, or a trainer built "
        "with CUDA on a node that has one");
  }
  if (name == "cpu" || devices == 0) return at::Device(at::kCPU);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank % devices));
}

std::string DevicesText() {
  const auto devices = static_cast<int>(torch::cuda::device_count());
  return devices == 0 ? "cpu" : "cpu, " + std::to_string(devices) + " x cuda";
}

}  // namespace tributary::trainer
