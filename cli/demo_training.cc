#include "cli/demo_training.h"

#include <deque>
#include <optional>
#include <thread>

#include "core/child_process.h"
#include "core/files.h"
#include "core/progress_file.h"

namespace tributary::cli {
namespace {

constexpr std::chrono::milliseconds kPollInterval{50};
constexpr std::chrono::milliseconds kProgressInterval{500};
constexpr std::size_t kTailBytes = 2048;

std::string LogPath(const TrainerRun& run) { return run.directory + "/trainer.log"; }

std::string Describe(const TrainerRun& run) {
  const auto line = LastProgress(run.directory);
  if (!line) return run.label + ": starting";
  std::string text = run.label + ": " + (run.command == "evaluate" ? "example " : "step ") +
                     std::to_string(line->step) + "/" + std::to_string(line->steps);
  if (line->loss == 0) return text;  // an evaluation says it at its end
  char loss[32];
  std::snprintf(loss, sizeof loss, " loss %.3f", line->loss);
  return text + loss;
}

}  // namespace

Status PrepareTask(const std::string& directory, const TaskFile& task,
                   const std::string& adapter_path, const AdapterConfig& adapter) {
  const std::string global = JoinPath(directory, "global");
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(global));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(JoinPath(directory, "state")));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string weights,
                             ReadFile(adapter_path, std::size_t{1} << 30));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(global, kAdapterWeightsFile), weights));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(global, kAdapterConfigFile), adapter.ToPeftJson()));
  return WriteFileAtomic(JoinPath(directory, kTaskFile), task.ToJson());
}

Status RunTrainers(const std::vector<TrainerRun>& runs, int parallel,
                   const std::function<void(const std::string&)>& progress) {
  struct Running {
    const TrainerRun* run;
    ChildProcess process;
  };
  std::vector<Running> running;
  std::deque<const TrainerRun*> waiting;
  for (const TrainerRun& run : runs) waiting.push_back(&run);
  auto said = std::chrono::steady_clock::now();
  while (!waiting.empty() || !running.empty()) {
    while (!waiting.empty() && static_cast<int>(running.size()) < parallel) {
      const TrainerRun* run = waiting.front();
      waiting.pop_front();
      TRIBUTARY_ASSIGN_OR_RETURN(ChildProcess process,
                                 ChildProcess::Start({ProgramDirectory() + "/tributary-trainer",
                                                      run->command, "--task", run->directory},
                                                     LogPath(*run)));
      running.push_back({run, std::move(process)});
    }
    std::this_thread::sleep_for(kPollInterval);
    for (auto it = running.begin(); it != running.end();) {
      const auto code = it->process.Poll();
      if (code && *code != 0) {
        const auto tail = ReadFileTail(LogPath(*it->run), kTailBytes);
        return AbortedError(it->run->label + ": the trainer ended with exit code " +
                            std::to_string(*code) + "; " + LogPath(*it->run) +
                            " ends with: " + (tail.ok() ? *tail : tail.status().message()));
      }
      it = code ? running.erase(it) : it + 1;
    }
    if (std::chrono::steady_clock::now() - said >= kProgressInterval) {
      said = std::chrono::steady_clock::now();
      std::string text;
      for (const Running& r : running) text += (text.empty() ? "" : "   ") + Describe(*r.run);
      if (!text.empty()) progress(text);
    }
  }
  return OkStatus();
}

Result<TaskResult> ReadTrainerResult(const std::string& directory) {
  const std::string path = JoinPath(directory, "update/" + std::string(kResultFile));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return TaskResult::FromJson(text).Annotate(path);
}

}  // namespace tributary::cli
