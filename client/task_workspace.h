// The directories of one task, and what goes in and out of them. Implements the client's half of
// docs/task_directory.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/client_config.h"
#include "client/task_start.h"
#include "core/sha256.h"
#include "core/status.h"
#include "core/task_contract.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// task.json of this task, by names that the site's policy knows.
TaskFile MakeTaskFile(const v1::CampaignOffer& offer, const v1::TaskAssignment& task,
                      const PolicySection& policy, const std::string& site, std::int64_t threads);

// A file that a task downloads.
struct NeededFile {
  Digest digest;
  std::uint64_t bytes = 0;
  std::string path;    // in the task's directory
  std::string shared;  // a second name, in the campaign's directory, for its other tasks
};

// Paths of one task. Any thread; one thread at a time per task.
class TaskWorkspace {
 public:
  TaskWorkspace(const std::string& workspace, const v1::TaskAssignment& task);

  const std::string& task() const { return task_.task(); }
  const std::string& directory() const { return directory_; }
  std::string GlobalPath() const;  // global/adapter_model.safetensors
  StartPaths Start() const { return {directory_, StatePath()}; }
  std::string TrainedPath() const;    // update/adapter_model.safetensors
  std::string DeltaPath() const;      // what leaves, kept until acknowledged
  std::string StatePath() const;      // what the site keeps for this campaign from task to task
  std::string NextStatePath() const;  // what takes its place when the update counts
  std::string CampaignDirectory() const { return campaign_directory_; }

  Status Create() const;  // the directories
  // What the task needs from the server: the version, products for the base weights, server state.
  // Invalid argument where a digest or a name is none: it would become part of a path.
  Result<std::vector<NeededFile>> Needs() const;
  // Puts the file at its path if another task has downloaded it; false if none has. The name is
  // this task's own: what becomes of the shared one does not concern it.
  Result<bool> Take(const NeededFile& file) const;
  // Puts a whole downloaded file at its path, and there for other tasks.
  Status Keep(const NeededFile& file, const std::string& downloaded) const;
  // Makes global/, state and task.json from what was downloaded. An update/ of an earlier life of
  // the task stays.
  Status Stage(const v1::CampaignOffer& offer, TaskFile task) const;
  Result<TaskResult> ReadResult() const;
  Status RemoveUpdate() const;
  std::string ErrorTail() const;  // of job.err, for the site's own log
  // The size of progress.jsonl: it grows as long as the trainer does something.
  std::uint64_t ProgressBytes() const;
  Status Remove() const;

 private:
  const v1::TaskAssignment task_;
  std::string campaign_directory_, directory_;
};

}  // namespace tributary::client
