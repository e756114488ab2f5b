// `tributary-client run --end-jobs`: a daemon whose jobs are not to outlive it.
#pragma once

#include <functional>
#include <string>

#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

// Cancels the jobs whose names begin so, and waits until none of them is left. A scheduler that
// cannot be asked, or a cancel that it lost, is asked again after `pause`, which returns false to
// give up; then the error names what may still run.
Status EndJobs(scheduler_adapters::SchedulerAdapter& adapter, const std::string& name_prefix,
               const std::function<bool()>& pause);

}  // namespace tributary::client
