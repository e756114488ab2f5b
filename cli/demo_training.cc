#include "cli/demo_training.h"

#include <sys/resource.h>

#include <csignal>
#include <deque>
#include <optional>
#include <thread>

#include "cli/time_left.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/progress_file.h"

namespace tributary::cli {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollInterval{50};
constexpr std::chrono::milliseconds kProgressInterval{500};
constexpr std::chrono::seconds kGrace{60};  // a step of a large model, and a checkpoint
constexpr std::size_t kTailBytes = 2048;

std::string LogPath(const TrainerRun& run) { return run.directory + "/trainer.log"; }

std::int64_t TotalSteps(const std::vector<TrainerRun>& runs) {
  std::int64_t total = 0;
  for (const TrainerRun& run : runs) {
    if (run.steps == 0) return 0;
    total += run.steps;
  }
  return total;
}

// The trainers at work and those that wait. One thread; ends what is at work with itself.
class Trainers {
 public:
  Trainers(const std::vector<TrainerRun>& runs, const TrainerPool& pool)
      : pool_(pool), total_(TotalSteps(runs)), left_(total_) {
    for (const TrainerRun& run : runs) waiting_.push_back(&run);
  }
  ~Trainers() {
    for (Running& running : running_) running.process.Signal(SIGTERM);
    for (Running& running : running_) running.process.Await(kGrace);
  }
  Trainers(const Trainers&) = delete;
  Trainers& operator=(const Trainers&) = delete;

  bool Done() const { return waiting_.empty() && running_.empty(); }
  Status StartNext();
  Status CollectEnded();
  void Report();

 private:
  struct Running {
    const TrainerRun* run;
    ChildProcess process;
  };

  std::string Describe(const TrainerRun& run, std::string* doing);

  const TrainerPool& pool_;
  std::deque<const TrainerRun*> waiting_;
  std::vector<Running> running_;
  const std::int64_t total_;
  TimeLeft left_;
  std::int64_t ended_steps_ = 0, running_steps_ = 0;
  std::string doing_;  // what was reported last, without the numbers
  Steady::time_point reported_ = Steady::now();
};

Status Trainers::StartNext() {
  while (!waiting_.empty() && static_cast<int>(running_.size()) < pool_.parallel) {
    const TrainerRun* run = waiting_.front();
    waiting_.pop_front();
    std::vector<std::string> command = {ProgramDirectory() + "/tributary-trainer", run->command};
    if (run->arguments.empty()) {
      command.insert(command.end(), {"--task", run->directory});
    } else {
      command.insert(command.end(), run->arguments.begin(), run->arguments.end());
    }
    TRIBUTARY_ASSIGN_OR_RETURN(ChildProcess process,
                               ChildProcess::Start(command, LogPath(*run), OutputPath(*run)));
    running_.push_back({run, std::move(process)});
  }
  return OkStatus();
}

Status Trainers::CollectEnded() {
  for (auto it = running_.begin(); it != running_.end();) {
    const auto code = it->process.Poll();
    if (code && *code != 0) {
      const auto tail = ReadFileTail(LogPath(*it->run), kTailBytes);
      return AbortedError(it->run->label + ": the trainer ended with exit code " +
                          std::to_string(*code) + "; " + LogPath(*it->run) +
                          " ends with: " + (tail.ok() ? *tail : tail.status().message()));
    }
    if (code) ended_steps_ += it->run->steps;
    it = code ? running_.erase(it) : it + 1;
  }
  return OkStatus();
}

std::string Trainers::Describe(const TrainerRun& run, std::string* doing) {
  const auto line = LastProgress(run.directory);
  if (!line || line->step == 0) {
    const std::string note = LastProgressNote(run.directory);
    const std::string text = run.label + ": " + (note.empty() ? "starting" : note);
    *doing += text;
    return text;
  }
  running_steps_ += line->step;
  std::string text = run.label + ": " + (run.command == "evaluate" ? "example " : "step ") +
                     std::to_string(line->step) + "/" + std::to_string(line->steps);
  if (line->loss == 0) return text;  // an evaluation says it at its end
  char loss[32];
  std::snprintf(loss, sizeof loss, " loss %.3f", line->loss);
  return text + loss;
}

void Trainers::Report() {
  const auto now = Steady::now();
  if (now - reported_ < kProgressInterval || running_.empty()) return;
  reported_ = now;
  TrainersProgress progress;
  std::string doing;
  running_steps_ = 0;
  for (const Running& running : running_) {
    progress.text += (progress.text.empty() ? "" : "   ") + Describe(*running.run, &doing);
  }
  // What a run that goes on did before is no speed of this one.
  const std::int64_t done = ended_steps_ + running_steps_;
  if (total_ > 0 && done > 0) {
    left_.Note(now, done);
    if (const auto left = left_.Left()) progress.text += ", " + LeftText(*left);
  }
  progress.news = !doing.empty() && doing != doing_;
  doing_ = doing;
  pool_.progress(progress);
}

}  // namespace

std::string OutputPath(const TrainerRun& run) { return run.directory + "/trainer.out"; }

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

Status RunTrainers(const std::vector<TrainerRun>& runs, const TrainerPool& pool) {
  Trainers trainers(runs, pool);
  while (!trainers.Done()) {
    if (!pool.keep_going()) return CancelledError("interrupted");
    TRIBUTARY_RETURN_IF_ERROR(trainers.StartNext());
    std::this_thread::sleep_for(kPollInterval);
    TRIBUTARY_RETURN_IF_ERROR(trainers.CollectEnded());
    trainers.Report();
  }
  return OkStatus();
}

Result<TaskResult> ReadTrainerResult(const std::string& directory) {
  const std::string path = JoinPath(directory, "update/" + std::string(kResultFile));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return TaskResult::FromJson(text).Annotate(path);
}

std::uint64_t LargestTrainerBytes() {
  // Of all children that have ended; the server and the clients are far smaller.
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace tributary::cli
