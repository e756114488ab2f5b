// One thread that asks the scheduler about all jobs at once, and the door through which everybody
// else speaks with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/mutex.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

// Thread-safe.
class JobMonitor {
 public:
  JobMonitor(std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter,
             std::chrono::milliseconds poll_interval);
  ~JobMonitor();

  Result<std::string> Submit(const scheduler_adapters::JobSpec& spec);
  Result<std::optional<std::string>> Find(const std::string& name);
  Status Cancel(const std::string& id);
  Result<std::optional<Timestamp>> Estimate(const std::string& id);
  Result<std::string> Version();
  Result<std::vector<scheduler_adapters::NamedJob>> ListLive(const std::string& name_prefix);
  // `unwanted` is asked while nothing else can be submitted.
  Status ForgetEnded(const std::function<bool(std::string_view name)>& unwanted);

  // Blocks until the job has ended, `keep_waiting` says no (asked at each poll), or the monitor
  // stops. `watch` hears each poll's status. Nothing when it did not end. An unknown state is
  // waited out: a scheduler that is down says nothing about the job.
  std::optional<scheduler_adapters::JobStatus> AwaitEnd(
      const std::string& id, const std::function<bool()>& keep_waiting,
      const std::function<void(const scheduler_adapters::JobStatus&)>& watch);
  // Ends every AwaitEnd.
  void Stop();
  // Makes waiters ask `keep_waiting` now.
  void Wake();

 private:
  void Loop();

  Mutex adapter_mutex_;  // never inside mutex_, nor inside one that `unwanted` takes
  const std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter_
      TRIBUTARY_PT_GUARDED_BY(adapter_mutex_);
  const std::chrono::milliseconds poll_interval_;

  Mutex mutex_;
  CondVar changed_;
  CondVar stop_;
  std::map<std::string, std::optional<scheduler_adapters::JobStatus>> watched_
      TRIBUTARY_GUARDED_BY(mutex_);
  std::uint64_t poll_ TRIBUTARY_GUARDED_BY(mutex_) = 0;
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tributary::client
