// What this site's jobs waited and cost: durable, for allocations and forecasts.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "core/sqlite.h"
#include "core/status.h"

namespace tributary::client {

// One job, from its submission on. Written when it is submitted, starts, and ends.
struct JobEntry {
  std::string name;      // the key
  std::string campaign;  // empty: a pilot's idle time, which is no campaign's
  std::string queue;
  std::int64_t nodes = 1, cpus = 0, gpus = 0;  // of the whole job
  std::chrono::seconds walltime{0};
  Timestamp submitted;
  std::optional<Timestamp> started, ended;
  // Once ended: time on its nodes, all incarnations. Of a pilot: without a task, so far.
  std::chrono::seconds charged{0};
  std::optional<double> predicted_p50, predicted_p80;  // seconds of waiting, said at submission
};

// Thread-safe; every write is durable when it returns.
class SiteLedger {
 public:
  static Result<std::unique_ptr<SiteLedger>> Open(const std::string& path);

  Status Put(const JobEntry& job);
  Result<std::optional<JobEntry>> Get(const std::string& name);
  // Without a campaign: of all.
  Result<std::vector<JobEntry>> Jobs(const std::optional<std::string>& campaign = {});
  // Those of the queue that started, the newest first.
  Result<std::vector<JobEntry>> Started(const std::string& queue, std::int64_t at_most);

 private:
  explicit SiteLedger(Database database) : database_(std::move(database)) {}
  Result<std::vector<JobEntry>> Select(const std::string& rest,
                                       const std::vector<std::string>& values);

  Mutex mutex_;
  Database database_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::client
