#include "server/progress_board.h"

#include <utility>

namespace tributary::server {
namespace {

constexpr std::size_t kMaxTasksShown = 1000;  // of one site

}  // namespace

std::string ProgressKey(const std::string& site, const std::string& task) {
  return site + "/" + task;
}

void ProgressBoard::Put(const std::string& site, v1::TaskProgress progress) {
  MutexLock lock(mutex_);
  auto& tasks = sites_[site];
  const std::string task = progress.task();
  if (tasks.size() >= kMaxTasksShown && !tasks.contains(task)) tasks.erase(tasks.begin());
  tasks[task] = std::move(progress);
  changed_ = true;
}

void ProgressBoard::Erase(const std::string& site, const std::string& task) {
  MutexLock lock(mutex_);
  const auto it = sites_.find(site);
  if (it != sites_.end()) it->second.erase(task);
}

std::map<std::string, v1::TaskProgress> ProgressBoard::Of(const std::string& campaign) const {
  const std::string prefix = campaign + ".";  // of all its tasks
  std::map<std::string, v1::TaskProgress> found;
  MutexLock lock(mutex_);
  for (const auto& [site, tasks] : sites_) {
    for (auto it = tasks.lower_bound(prefix); it != tasks.end() && it->first.starts_with(prefix);
         ++it) {
      found.emplace(ProgressKey(site, it->first), it->second);
    }
  }
  return found;
}

std::set<std::string> ProgressBoard::TasksOf(const std::string& site) const {
  std::set<std::string> tasks;
  MutexLock lock(mutex_);
  const auto it = sites_.find(site);
  if (it == sites_.end()) return tasks;
  for (const auto& [task, progress] : it->second) tasks.insert(task);
  return tasks;
}

bool ProgressBoard::TakeChanged() {
  MutexLock lock(mutex_);
  return std::exchange(changed_, false);
}

}  // namespace tributary::server
