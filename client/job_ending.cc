#include "client/job_ending.h"

#include <set>

#include "core/log.h"

namespace tributary::client {

Status EndJobs(scheduler_adapters::SchedulerAdapter& adapter, const std::string& name_prefix,
               const std::function<bool()>& pause) {
  std::set<std::string> said;
  while (true) {
    const auto live = adapter.ListLive(name_prefix);
    if (live.ok() && live->empty()) return OkStatus();
    std::string left;
    if (live.ok()) {
      for (const scheduler_adapters::NamedJob& job : *live) {
        left += (left.empty() ? "" : ", ") + job.id;
        // Every time: schedulers lose a cancel that meets a requeue.
        const Status cancelled = adapter.Cancel(job.id);
        if (said.insert(job.id).second) {
          LogInfo("client", "job cancelled, as its daemon ends",
                  {{"job", job.id}, {"answer", cancelled.ok() ? "ok" : cancelled.message()}});
        }
      }
    }
    if (pause()) continue;
    if (!live.ok()) return live.status().Annotate("jobs may still run");
    return AbortedError("jobs may still run: " + left);
  }
}

}  // namespace tributary::client
