#include "client/task_workspace.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/campaign_file.h"
#include "core/files.h"
#include "core/peft_adapter.h"
#include "core/text.h"

namespace tributary::client {
namespace {

constexpr std::size_t kTailBytes = 4096;

TrainingSettings FromWire(const v1::Training& training) {
  TrainingSettings settings;
  settings.steps = training.steps();
  settings.batch_size = training.batch_size();
  settings.gradient_accumulation = training.gradient_accumulation();
  settings.sequence_length = training.sequence_length();
  settings.learning_rate = training.learning_rate();
  settings.learning_rate_scale = training.learning_rate_scale();
  settings.schedule = training.schedule();
  settings.warmup_steps = training.warmup_steps();
  settings.weight_decay = training.weight_decay();
  settings.beta1 = training.beta1();
  settings.beta2 = training.beta2();
  settings.epsilon = training.epsilon();
  settings.max_grad_norm = training.max_grad_norm();
  if (!training.optimizer().empty()) settings.optimizer = training.optimizer();
  settings.momentum = training.momentum();
  settings.gradient_checkpointing = training.gradient_checkpointing();
  if (!training.base_precision().empty()) settings.base_precision = training.base_precision();
  return settings;
}

}  // namespace

TaskFile MakeTaskFile(const v1::CampaignOffer& offer, const v1::TaskAssignment& task,
                      const PolicySection& policy, const std::string& site, std::int64_t threads) {
  TaskFile file;
  file.kind = task.kind() == v1::TASK_KIND_TRAIN ? TaskKind::kTrain : TaskKind::kEvaluate;
  file.task = task.task();
  file.campaign = task.campaign();
  file.site = site;
  file.round = task.round();
  file.global_version = task.global_version();
  file.seed = task.seed();
  file.model_path = policy.models.at(offer.model());
  if (file.kind == TaskKind::kTrain) {
    file.training = FromWire(task.training());
    file.data.push_back({offer.train_data(), policy.data.at(offer.train_data())});
  } else {
    for (const std::string& name : offer.evaluation_data()) {
      file.data.push_back({name, policy.data.at(name)});
    }
    file.evaluation_batch_size = task.evaluation_batch_size();
    file.evaluation_max_examples = task.evaluation_max_examples();
    file.evaluation_answer_tokens = task.evaluation_answer_tokens();
    file.training.base_precision = FromWire(task.training()).base_precision;
  }
  for (DataSource& source : file.data) {
    source.chat_template = task.chat_template();
    source.max_bad_lines = task.max_bad_lines();
  }
  file.threads = threads;
  file.walltime_seconds = task.walltime_seconds();
  return file;
}

TaskWorkspace::TaskWorkspace(const std::string& workspace, const v1::TaskAssignment& task)
    : task_(task),
      campaign_directory_(JoinPath(workspace, task.campaign())),
      directory_(JoinPath(campaign_directory_, task.task())) {}

std::string TaskWorkspace::GlobalPath() const {
  return directory_ + "/global/" + std::string(kAdapterWeightsFile);
}
std::string TaskWorkspace::TrainedPath() const {
  return directory_ + "/update/" + std::string(kAdapterWeightsFile);
}
std::string TaskWorkspace::DeltaPath() const { return directory_ + "/delta.safetensors"; }
std::string TaskWorkspace::StatePath() const { return campaign_directory_ + "/state"; }
std::string TaskWorkspace::NextStatePath() const { return directory_ + "/next_state"; }

Status TaskWorkspace::Create() const {
  for (const char* name : {"/global", "/merged", "/server_state"}) {
    TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory_ + name));
  }
  return MakeDirectories(StatePath());
}

Result<std::vector<NeededFile>> TaskWorkspace::Needs() const {
  std::vector<NeededFile> needs;
  const auto add = [&](const char* kind, const std::string& hex, std::uint64_t bytes,
                       std::string path) -> Status {
    TRIBUTARY_ASSIGN_OR_RETURN(const Digest digest, Digest::FromHex(hex));
    needs.push_back({digest, bytes, std::move(path),
                     campaign_directory_ + "/" + kind + "-" + digest.ToHex() + ".safetensors"});
    return OkStatus();
  };
  TRIBUTARY_RETURN_IF_ERROR(
      add("version", task_.global_digest(), task_.global_bytes(), Start().Version()));
  for (int i = 0; i < task_.merged_size(); ++i) {
    const v1::Blob& blob = task_.merged(i);
    TRIBUTARY_RETURN_IF_ERROR(add("merged", blob.digest(), blob.bytes(), Start().Merged(i)));
  }
  for (const auto& [name, blob] : task_.server_state()) {
    if (!IsPlainName(name)) {
      return InvalidArgumentError("server state \"" + Excerpt(name) + "\" is not a name");
    }
    TRIBUTARY_RETURN_IF_ERROR(
        add("version", blob.digest(), blob.bytes(), Start().ServerState(name)));
  }
  return needs;
}

Result<bool> TaskWorkspace::Take(const NeededFile& file) const {
  return LinkFile(file.shared, file.path);
}

Status TaskWorkspace::Keep(const NeededFile& file, const std::string& downloaded) const {
  TRIBUTARY_RETURN_IF_ERROR(RenameDurably(downloaded, file.path));
  return LinkFile(file.path, file.shared).status();
}

Status TaskWorkspace::Stage(const v1::CampaignOffer& offer, TaskFile task) const {
  TRIBUTARY_RETURN_IF_ERROR(PrepareStart(Start(), offer, task_, &task));
  if (symlink("../state", (directory_ + "/state").c_str()) != 0 && errno != EEXIST) {
    return ErrnoError("link " + directory_ + "/state", errno);
  }
  return WriteFileAtomic(JoinPath(directory_, kTaskFile), task.ToJson());
}

Result<TaskResult> TaskWorkspace::ReadResult() const {
  const std::string path = directory_ + "/update/" + std::string(kResultFile);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, std::size_t{1} << 20));
  return TaskResult::FromJson(text).Annotate(path);
}

Status TaskWorkspace::RemoveUpdate() const { return RemoveTree(directory_ + "/update"); }

std::string TaskWorkspace::ErrorTail() const {
  const auto tail = ReadFileTail(directory_ + "/job.err", kTailBytes);
  return tail.ok() ? *tail : std::string();
}

std::uint64_t TaskWorkspace::ProgressBytes() const {
  const auto size = FileSize(JoinPath(directory_, kProgressFile));
  return size.ok() ? *size : 0;
}

Status TaskWorkspace::Remove() const { return RemoveTree(directory_); }

}  // namespace tributary::client
