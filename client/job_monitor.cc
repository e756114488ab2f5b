#include "client/job_monitor.h"

#include <algorithm>
#include <vector>

namespace tributary::client {

using scheduler_adapters::JobStatus;

namespace {
constexpr int kLongestPauses = 16;  // poll intervals between two questions to a silent scheduler
}

JobMonitor::JobMonitor(std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter,
                       std::chrono::milliseconds poll_interval)
    : adapter_(std::move(adapter)), poll_interval_(poll_interval), thread_([this] { Loop(); }) {}

JobMonitor::~JobMonitor() {
  Stop();
  thread_.join();
}

void JobMonitor::Stop() {
  MutexLock lock(mutex_);
  stopping_ = true;
  changed_.NotifyAll();
  stop_.NotifyAll();
}

void JobMonitor::Wake() {
  MutexLock lock(mutex_);
  ++poll_;
  changed_.NotifyAll();
}

Result<std::string> JobMonitor::Submit(const scheduler_adapters::JobSpec& spec) {
  MutexLock lock(adapter_mutex_);
  return adapter_->Submit(spec);
}

Result<std::optional<std::string>> JobMonitor::Find(const std::string& name) {
  MutexLock lock(adapter_mutex_);
  return adapter_->Find(name);
}

Status JobMonitor::Cancel(const std::string& id) {
  MutexLock lock(adapter_mutex_);
  return adapter_->Cancel(id);
}

Result<std::optional<Timestamp>> JobMonitor::Estimate(const std::string& id) {
  MutexLock lock(adapter_mutex_);
  return adapter_->Estimate(id);
}

Result<std::string> JobMonitor::Version() {
  MutexLock lock(adapter_mutex_);
  return adapter_->Version();
}

Result<std::vector<scheduler_adapters::NamedJob>> JobMonitor::ListLive(
    const std::string& name_prefix) {
  MutexLock lock(adapter_mutex_);
  return adapter_->ListLive(name_prefix);
}

Status JobMonitor::ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) {
  MutexLock lock(adapter_mutex_);
  return adapter_->ForgetEnded(unwanted);
}

std::optional<JobStatus> JobMonitor::AwaitEnd(const std::string& id,
                                              const std::function<bool()>& keep_waiting,
                                              const std::function<void(const JobStatus&)>& watch) {
  mutex_.Lock();
  watched_[id];
  stop_.NotifyAll();  // the poller sleeps while nobody watches
  std::optional<JobStatus> ended;
  std::uint64_t seen = poll_;
  while (!stopping_) {
    while (poll_ == seen && !stopping_) changed_.Wait(mutex_);
    seen = poll_;
    const std::optional<JobStatus> status = watched_[id];
    mutex_.Unlock();
    if (status && scheduler_adapters::IsTerminal(status->state)) ended = status;
    if (status && !ended) watch(*status);
    const bool go_on = !ended && keep_waiting();
    mutex_.Lock();
    if (!go_on) break;
  }
  watched_.erase(id);
  mutex_.Unlock();
  return ended;
}

void JobMonitor::Loop() {
  std::chrono::milliseconds pause = poll_interval_;
  while (true) {
    std::vector<std::string> ids;
    {
      MutexLock lock(mutex_);
      while (watched_.empty() && !stopping_) stop_.Wait(mutex_);
      if (stopping_) return;
      for (const auto& [id, status] : watched_) ids.push_back(id);
    }
    std::vector<JobStatus> statuses;
    {
      MutexLock lock(adapter_mutex_);
      statuses = adapter_->Query(ids);
    }
    // A scheduler in trouble is asked less and less often.
    const bool deaf = std::all_of(statuses.begin(), statuses.end(), [](const JobStatus& status) {
      return status.state == scheduler_adapters::JobState::kUnknown;
    });
    MutexLock lock(mutex_);
    for (JobStatus& status : statuses) {
      const auto it = watched_.find(status.id);
      if (it != watched_.end()) it->second = std::move(status);
    }
    ++poll_;
    changed_.NotifyAll();
    pause = deaf ? std::min(2 * pause, kLongestPauses * poll_interval_) : poll_interval_;
    const auto until = std::chrono::steady_clock::now() + pause;
    while (!stopping_ && stop_.WaitUntil(mutex_, until)) {
      // woken early by a new watcher: the next poll comes at its time
    }
    if (stopping_) return;
  }
}

}  // namespace tributary::client
