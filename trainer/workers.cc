#include "trainer/workers.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <utility>
#include <vector>

namespace tributary::trainer {
namespace {

// For the others to come, and for a step of the slowest.
constexpr std::chrono::minutes kPatience{30};

// LibTorch 2.x would meet through libuv, which some of its builds (Debian's) do not have.
template <typename StoreOptions>
void AvoidLibUv(StoreOptions* options) {
  if constexpr (requires { options->useLibUV; }) options->useLibUV = false;
}

}  // namespace

struct Workers::Group {
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

Workers::Workers() = default;
Workers::~Workers() = default;
Workers::Workers(Workers&&) noexcept = default;
Workers& Workers::operator=(Workers&&) noexcept = default;

Result<Workers> Workers::Join(const LauncherPlace& place) {
  Workers workers;
  workers.place_ = place;
  if (place.size == 1) return workers;
  c10d::TCPStoreOptions meeting;
  meeting.port = place.port;
  meeting.isServer = place.rank == 0;
  meeting.numWorkers = static_cast<std::size_t>(place.size);
  meeting.timeout = kPatience;
  AvoidLibUv(&meeting);
  auto group = std::make_unique<Group>();
  group->store = c10::make_intrusive<c10d::TCPStore>(place.master, meeting);
  auto options = c10d::ProcessGroupGloo::Options::create();
  options->timeout = kPatience;
  options->devices.push_back(place.master == "127.0.0.1" || place.master == "localhost"
                                 ? c10d::ProcessGroupGloo::createDeviceForHostname(place.master)
                                 : c10d::ProcessGroupGloo::createDefaultDevice());
  group->gloo =
      c10::make_intrusive<c10d::ProcessGroupGloo>(group->store, place.rank, place.size, options);
  workers.group_ = std::move(group);
  return workers;
}

void Workers::Sum(at::Tensor tensor) const {
  if (!group_) return;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> tensors = {std::move(tensor)};
  group_->gloo->allreduce(tensors)->wait();
}

bool Workers::Any(bool here) const {
  if (!group_) return here;
  at::Tensor count = at::full({1}, here ? 1.0 : 0.0, at::kFloat);
  Sum(count);
  return count.item<float>() > 0;
}

}  // namespace tributary::trainer
