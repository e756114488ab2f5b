#include "trainer/task_directory.h"

#include <cerrno>
#include <cstdlib>

#include "core/files.h"
#include "trainer/adapter.h"

namespace tributary::trainer {
namespace {

constexpr std::string_view kTemporaryPrefix = "update.tmp-";

Status RemoveLeftovers(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    if (name.starts_with(kTemporaryPrefix)) {
      TRIBUTARY_RETURN_IF_ERROR(RemoveTree(JoinPath(directory, name)));
    }
  }
  return OkStatus();
}

Result<std::string> MakeTemporary(const std::string& directory) {
  std::string path = JoinPath(directory, std::string(kTemporaryPrefix) + "XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return ErrnoError("mkdtemp " + path, errno);
  return path;
}

bool IsFailure(const std::string& directory) {
  const auto text = ReadFile(JoinPath(JoinPath(directory, kUpdateDirectory), kResultFile));
  const auto result = text.ok() ? TaskResult::FromJson(*text) : Result<TaskResult>(text.status());
  return result.ok() && result->completion == Completion::kFailed;
}

}  // namespace

bool HasUpdate(const std::string& directory) {
  return PathExists(JoinPath(directory, kUpdateDirectory)) && !IsFailure(directory);
}

Status RemoveFailure(const std::string& directory) {
  return IsFailure(directory) ? RemoveTree(JoinPath(directory, kUpdateDirectory)) : OkStatus();
}

Result<TaskFile> ReadTask(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(directory, kTaskFile)));
  return TaskFile::FromJson(text).Annotate(directory);
}

std::vector<std::string> MergedPaths(const std::string& directory, const TaskFile& task) {
  std::vector<std::string> paths;
  for (const std::string& path : task.merged) paths.push_back(JoinPath(directory, path));
  return paths;
}

Status WriteUpdate(const std::string& directory, const TaskResult& result, const Adapter* adapter,
                   const NamedTensors& optimizer) {
  TRIBUTARY_RETURN_IF_ERROR(RemoveLeftovers(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string temporary, MakeTemporary(directory));
  if (adapter != nullptr) {
    TRIBUTARY_RETURN_IF_ERROR(
        SaveWeights(JoinPath(temporary, kAdapterWeightsFile), adapter->tensors));
    TRIBUTARY_RETURN_IF_ERROR(
        WriteFileAtomic(JoinPath(temporary, kAdapterConfigFile), adapter->config_text));
  }
  if (!optimizer.empty()) {
    TRIBUTARY_RETURN_IF_ERROR(SaveWeights(JoinPath(temporary, kOptimizerFile), optimizer));
  }
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(temporary, kResultFile), result.ToJson()));
  return RenameDurably(temporary, JoinPath(directory, kUpdateDirectory));
}

}  // namespace tributary::trainer
