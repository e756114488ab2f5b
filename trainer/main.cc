// tributary-trainer: trains and evaluates adapters inside a site's job. See docs/task_directory.md.
#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>
#include <string>

#include "core/version.h"
#include "trainer/evaluation.h"
#include "trainer/pretraining.h"
#include "trainer/runtime.h"
#include "trainer/stop_signal.h"
#include "trainer/task_directory.h"
#include "trainer/training.h"

namespace tributary::trainer {
namespace {

void Say(const std::string& text) { std::cerr << "tributary-trainer: " << text << std::endl; }

char** g_arguments = nullptr;

void StartRuntime(std::int64_t requested) {
  const std::int64_t threads = ResolveThreads(requested);
  RestartWithoutSpinning(threads, g_arguments);
  SetThreads(threads);
  const Runtime runtime = DescribeRuntime();
  Say(RuntimeText(runtime));
  if (const std::string warning = RuntimeWarning(runtime); !warning.empty()) {
    Say("warning: " + warning);
  }
}

// LibTorch throws; nothing of ours does. This is where its exceptions become errors.
template <typename T>
Result<T> Guarded(const std::function<Result<T>()>& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("out of memory");
  } catch (const std::exception& error) {
    const std::string what = error.what();
    return InternalError(what.substr(0, what.find('\n')));
  }
}

using TaskFunction = Result<TaskResult> (*)(const std::string&, const TaskFile&,
                                            const std::function<bool()>&);

Result<TaskResult> RunTask(const std::string& directory, TaskKind kind, TaskFunction function) {
  TRIBUTARY_ASSIGN_OR_RETURN(const TaskFile task, ReadTask(directory));
  if (task.kind != kind) {
    return InvalidArgumentError("task.json: kind is " + std::string(TaskKindName(task.kind)) +
                                "; run tributary-trainer " + std::string(TaskKindName(task.kind)));
  }
  StartRuntime(task.threads);
  return Guarded<TaskResult>([&] { return function(directory, task, StopRequested); });
}

int FailTask(const std::string& directory, const Status& status) {
  Say(status.ToString());
  TaskResult result;
  result.completion = Completion::kFailed;
  result.message = status.message();
  if (const Status written = WriteUpdate(directory, result, nullptr); !written.ok()) {
    Say("could not write the failed result: " + written.ToString());
  }
  return 1;
}

int TaskMain(const std::string& directory, TaskKind kind, TaskFunction function) {
  if (HasUpdate(directory)) {
    Say(directory + " already has its update; nothing to do");
    return 0;
  }
  const Result<TaskResult> result = RunTask(directory, kind, function);
  if (!result.ok()) return FailTask(directory, result.status());
  Say(std::string(CompletionName(result->completion)) +
      (result->message.empty() ? "" : ": " + result->message));
  return 0;
}

int PretrainMain(const std::string& directory) {
  const Result<TrainingOutcome> outcome =
      Guarded<TrainingOutcome>([&]() -> Result<TrainingOutcome> {
        TRIBUTARY_ASSIGN_OR_RETURN(const PretrainFile file, ReadPretrainFile(directory));
        StartRuntime(file.threads);
        return RunPretraining(directory, file, StopRequested);
      });
  if (!outcome.ok()) {
    Say(outcome.status().ToString());
    return 1;
  }
  Say("complete: " + std::to_string(outcome->steps) + " steps, loss " +
      std::to_string(outcome->loss_first) + " -> " + std::to_string(outcome->loss_last));
  return 0;
}

int VersionMain() {
  const Runtime runtime = DescribeRuntime();
  std::cout << "tributary-trainer " << kVersion << "\n"
            << RuntimeText(runtime) << " by default, " << ResolveThreads(0) << " available\n";
  if (const std::string warning = RuntimeWarning(runtime); !warning.empty()) {
    std::cout << "warning: " << warning << "\n";
  }
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app{"Trains and evaluates adapters inside a site's job."};
  app.require_subcommand(1);
  std::string directory;
  const auto add = [&](const char* name, const char* text) {
    CLI::App* command = app.add_subcommand(name, text);
    command->add_option("--task", directory, "the task directory")->required();
    return command;
  };
  const CLI::App* train = add("train", "Run the train task of a directory");
  const CLI::App* evaluate = add("evaluate", "Run the evaluate task of a directory");
  const CLI::App* pretrain = add("pretrain", "Make a tokenizer and a small model from text");
  app.add_subcommand("version", "Print versions and what the program computes with");
  CLI11_PARSE(app, argc, argv);

  g_arguments = argv;
  InstallStopSignals();
  if (train->parsed()) return TaskMain(directory, TaskKind::kTrain, &RunTrainTask);
  if (evaluate->parsed()) return TaskMain(directory, TaskKind::kEvaluate, &RunEvaluateTask);
  if (pretrain->parsed()) return PretrainMain(directory);
  return VersionMain();
}

}  // namespace
}  // namespace tributary::trainer

int main(int argc, char** argv) { return tributary::trainer::Main(argc, argv); }
