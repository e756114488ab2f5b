#include "trainer/device.h"

#include <ATen/ATen.h>
#include <sys/resource.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <cstdlib>

#include "core/files.h"

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

namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Days on the CPUs of a node whose GPUs were paid for are not what anybody asked for.
Status CheckNoneGiven() {
  const std::string given = Variable("TRIBUTARY_GPUS");
  if (given.empty() || given == "0") return OkStatus();
  std::string seen;
  for (const char* name : {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}) {
    if (std::getenv(name) != nullptr) seen += std::string(", ") + name + "=" + Variable(name);
  }
  return FailedPreconditionError(
      "the job was given " + given +
      " GPUs on each node and this LibTorch " TORCH_VERSION " finds none" + seen +
      "; use a trainer built for them (docs/building_for_gpus.md), set job.gpus to 0, or name the "
      "CPU with TRIBUTARY_DEVICE: cpu in job.environment");
}

}  // namespace

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
  if (name == "auto" && devices == 0) TRIBUTARY_RETURN_IF_ERROR(CheckNoneGiven());
  if (name == "cpu" || devices == 0) return at::Device(at::kCPU);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank % devices));
}

std::string DeviceName(const at::Device& device) {
  if (!device.is_cpu()) return std::string(at::DeviceTypeName(device.type(), /*lower_case=*/true));
  const auto text = ReadFile("/proc/cpuinfo");
  constexpr std::string_view kModel = "model name";
  const std::size_t line = text.ok() ? text->find(kModel) : std::string::npos;
  if (line == std::string::npos) return "cpu";
  const std::size_t begin = text->find(": ", line);
  const std::size_t end = text->find('\n', line);
  if (begin == std::string::npos || begin > end) return "cpu";
  return "cpu, " + text->substr(begin + 2, end - begin - 2);
}

std::int64_t PeakMemory() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? std::int64_t{usage.ru_maxrss} * 1024 : 0;
}

void NoteDevice(const at::Device& device, TaskResult* result) {
  if (std::getenv("TRIBUTARY_GPUS") == nullptr) return;
  result->device = DeviceName(device);
  if (device.is_cpu()) result->peak_memory_bytes = PeakMemory();
}

std::string DevicesText() {
  const auto devices = static_cast<int>(torch::cuda::device_count());
  return devices == 0 ? "cpu" : "cpu, " + std::to_string(devices) + " x cuda";
}

}  // namespace tributary::trainer
