// The processes that train one task together: every batch is shared out among them, gradients are
// summed, and all take the same step. LibTorch's own process group, over Gloo.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "core/status.h"
#include "trainer/launcher.h"

namespace tributary::trainer {

// LibTorch's exceptions pass through, among them those for a process that went away. Not
// thread-safe.
class Workers {
 public:
  Workers();  // one process alone
  ~Workers();
  Workers(Workers&&) noexcept;
  Workers& operator=(Workers&&) noexcept;

  // Waits for the others.
  static Result<Workers> Join(const LauncherPlace& place);

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  bool first() const { return place_.rank == 0; }

  // Over all processes, in place, the same bits everywhere. All call it in the same order.
  void Sum(at::Tensor tensor) const;
  // Whether it is so anywhere.
  bool Any(bool here) const;

 private:
  struct Group;
  LauncherPlace place_;
  std::unique_ptr<Group> group_;  // null when alone
};

}  // namespace tributary::trainer
