// The directories of one task, and what goes in and out of them. Implements the client's half of
// docs/task_directory.md.
#pragma once

#include <optional>
#include <string>

#include "client/client_config.h"
#include "core/sha256.h"
#include "core/status.h"
#include "core/task_contract.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// task.json of this task, by names that the site's policy knows.
TaskFile MakeTaskFile(const v1::CampaignOffer& offer, const v1::TaskAssignment& task,
                      const PolicySection& policy, const std::string& site, std::int64_t threads);

// Paths of one task. Any thread; one thread at a time per task.
class TaskWorkspace {
 public:
  TaskWorkspace(const std::string& workspace, const v1::TaskAssignment& task);

  const std::string& directory() const { return directory_; }
  std::string GlobalPath() const;   // global/adapter_model.safetensors
  std::string TrainedPath() const;  // update/adapter_model.safetensors
  std::string DeltaPath() const;    // what leaves, kept until acknowledged
  std::string VersionPath() const;  // a second name of it, for other tasks of the campaign
  std::string CampaignDirectory() const { return campaign_directory_; }

  Status Create() const;  // the directories
  // Puts the version at GlobalPath() if another task has downloaded it; false if none has. The name
  // is this task's own: what becomes of VersionPath() does not concern it.
  Result<bool> TakeVersion() const;
  // Puts a whole downloaded version at GlobalPath(), and there for other tasks.
  Status KeepVersion(const std::string& downloaded) const;
  // Puts state and task.json beside the version. An update/ of an earlier life of the task stays.
  Status Stage(const v1::CampaignOffer& offer, const TaskFile& task) const;
  // The last whole line of progress.jsonl.
  std::optional<ProgressLine> Progress() const;
  Result<TaskResult> ReadResult() const;
  std::string ErrorTail() const;  // of job.err, for the site's own log
  // The size of progress.jsonl: it grows as long as the trainer does something.
  std::uint64_t ProgressBytes() const;
  Status Remove() const;

 private:
  std::string campaign_directory_, directory_, version_;
};

}  // namespace tributary::client
