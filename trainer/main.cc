// tributary-trainer: trains and evaluates adapters inside a site's job. See docs/task_directory.md.
#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>
#include <string>

#include "core/command_line.h"
#include "core/version.h"
#include "trainer/available_memory.h"
#include "trainer/device.h"
#include "trainer/evaluation.h"
#include "trainer/generate_command.h"
#include "trainer/inspection.h"
#include "trainer/launcher.h"
#include "trainer/memory_estimate.h"
#include "trainer/merge.h"
#include "trainer/pretraining.h"
#include "trainer/runtime.h"
#include "trainer/say.h"
#include "trainer/stop_signal.h"
#include "trainer/task_directory.h"
#include "trainer/text_commands.h"
#include "trainer/training.h"

namespace tributary::trainer {
namespace {

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

// Says what the task will need, and refuses what cannot fit. It speaks of the CPU's memory: with
// another device that is what is trained and one weight at a time; of its own LibTorch says when it
// is out.
Status CheckTaskMemory(const std::string& directory, const TaskFile& task, at::Device device) {
  TRIBUTARY_ASSIGN_OR_RETURN(MemoryEstimate estimate,
                             EstimateTaskMemory(directory, task, ResolveThreads(task.threads)));
  if (!device.is_cpu()) {
    Say("device: " + device.str());
    estimate.weights = 0;
    estimate.activations = 0;
  }
  Say("memory: " + estimate.Text());
  return CheckMemory(estimate, AvailableMemory());
}

using TaskFunction = Result<TaskResult> (*)(const std::string&, const TaskFile&, const Compute&,
                                            const std::function<bool()>&);

struct TaskCommand {
  std::string directory;
  std::string device = "auto";
  std::string compute = "fp32";
};

Result<TaskResult> RunTask(const TaskCommand& command, int local_rank, TaskKind kind,
                           TaskFunction function) {
  const std::string& directory = command.directory;
  TRIBUTARY_ASSIGN_OR_RETURN(const TaskFile task, ReadTask(directory));
  if (task.kind != kind) {
    return InvalidArgumentError("task.json: kind is " + std::string(TaskKindName(task.kind)) +
                                "; run tributary-trainer " + std::string(TaskKindName(task.kind)));
  }
  StartRuntime(task.threads);
  TRIBUTARY_ASSIGN_OR_RETURN(const Compute compute,
                             ChooseCompute(command.device, command.compute, local_rank));
  TRIBUTARY_RETURN_IF_ERROR(CheckTaskMemory(directory, task, compute.device));
  return Guarded<TaskResult>([&] { return function(directory, task, compute, StopRequested); });
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

// The first of several processes writes what there is to write, and evaluates alone.
int TaskMain(const TaskCommand& command, TaskKind kind, TaskFunction function) {
  const std::string& directory = command.directory;
  if (HasUpdate(directory)) {
    Say(directory + " already has its update; nothing to do");
    return 0;
  }
  const Result<LauncherPlace> place = FindPlace(EnvironmentVariables());
  if (!place.ok()) return FailTask(directory, place.status());
  if (place->rank > 0 && kind == TaskKind::kEvaluate) return 0;
  if (place->rank == 0) {
    if (const Status gone = RemoveFailure(directory); !gone.ok()) return FailTask(directory, gone);
  }
  const Result<TaskResult> result = RunTask(command, place->local_rank, kind, function);
  if (!result.ok() && place->rank > 0) {
    Say(result.status().ToString());
    return 1;
  }
  if (!result.ok()) return FailTask(directory, result.status());
  Say(std::string(CompletionName(result->completion)) +
      (result->message.empty() ? "" : ": " + result->message));
  return 0;
}

int PretrainMain(const std::string& directory) {
  StopOnInterrupt();
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

int Finish(const Status& status) {
  if (!status.ok()) Say(status.ToString());
  return status.ok() ? 0 : 1;
}

int MergeMain(const std::string& model, const std::string& adapter, const std::string& output) {
  StartRuntime(0);
  const Result<bool> merged = Guarded<bool>([&]() -> Result<bool> {
    TRIBUTARY_RETURN_IF_ERROR(MergeAdapter(model, adapter, output));
    return true;
  });
  if (merged.ok()) Say("the merged model is in " + output);
  return Finish(merged.status());
}

// The commands that print to a person.
struct PersonOptions {
  std::string model;
  bool special_tokens = false;
  DataCheckOptions data_check;
  GenerateOptions generate;
  InspectOptions inspect;
};

int TokenizeMain(const PersonOptions& options) {
  return Finish(RunTokenize(options.model,
                            options.special_tokens ? SpecialText::kTokens : SpecialText::kPlain,
                            std::cin, std::cout));
}

int GenerateMain(const GenerateOptions& options) {
  StartRuntime(0);
  const Result<bool> done = Guarded<bool>([&]() -> Result<bool> {
    TRIBUTARY_RETURN_IF_ERROR(RunGenerate(options, std::cin, std::cout, StopRequested));
    return true;
  });
  return Finish(done.status());
}

void AddCompute(CLI::App* command, std::string* device, std::string* compute) {
  command->add_option("--device", *device, "where to compute; auto: CUDA where there is any")
      ->envname("TRIBUTARY_DEVICE")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--compute", *compute, "dtype of activations; what is trained stays fp32")
      ->envname("TRIBUTARY_COMPUTE")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
}

CLI::App* AddTokenize(CLI::App& app, PersonOptions* options) {
  CLI::App* command =
      app.add_subcommand("tokenize", "Tokens of the JSON strings on standard input, one a line");
  command->add_option("--model", options->model, "a model directory")->required();
  command->add_flag("--special-tokens", options->special_tokens,
                    "text that spells a special token becomes that token");
  return command;
}

CLI::App* AddDataCheck(CLI::App& app, DataCheckOptions* options) {
  CLI::App* command = app.add_subcommand("data-check", "What training makes of a file of examples");
  command->add_option("--model", options->model, "a model directory")->required();
  command->add_option("--data", options->data, "JSON lines")->required();
  command->add_option("--template", options->chat_template, "how conversations are written");
  command->add_option("--sequence-length", options->sequence_length, "tokens")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--samples", options->samples, "sequences to print")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--sequences", options->sequences,
                    "print all sequences instead, as JSON lines: ids and the spans with loss");
  return command;
}

CLI::App* AddGenerate(CLI::App& app, GenerateOptions* options) {
  CLI::App* command = app.add_subcommand("generate", "Let a model write");
  command->add_option("--model", options->model, "a model directory")->required();
  command->add_option("--adapter", options->adapter, "an adapter directory");
  CLI::Option* prompt = command->add_option("--prompt", options->prompt, "text to continue");
  CLI::Option* chat = command->add_flag("--chat", options->chat,
                                        "answer each line of standard input, in one conversation");
  prompt->excludes(chat);
  command->add_option("--template", options->chat_template, "with --chat: how it is written")
      ->needs(chat);
  AddCompute(command, &options->device, &options->compute);
  command->add_option("--base-precision", options->base_precision, "what the weights are kept as")
      ->check(CLI::IsMember({"fp32", "stored", "int8"}));
  command->add_option("--temperature", options->settings.temperature, "0: the likeliest token")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-p", options->settings.top_p, "draw from the likeliest tokens only")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--max-tokens", options->settings.max_tokens, "of one answer")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--seed", options->settings.seed, "of the draws");
  return command;
}

CLI::App* AddInspect(CLI::App& app, InspectOptions* options) {
  CLI::App* command =
      app.add_subcommand("inspect", "What the trainer would refuse of a model, an adapter, data");
  command->add_option("--model", options->model, "a model directory")->required();
  command->add_option("--adapter", options->adapter,
                      "an adapter directory; adapter_config.json alone will do");
  command->add_option("--data", options->data, "JSON lines; may be given several times");
  command->add_option("--template", options->chat_template, "how conversations are written");
  command
      ->add_option_function<std::int64_t>(
          "--seconds",
          [options](std::int64_t seconds) { options->patience = std::chrono::seconds(seconds); },
          "to read data in; what takes longer is not read to its end")
      ->default_str("10")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{604800}));
  command->add_flag("--json", options->json, "one JSON object instead of lines");
  return command;
}

int InspectMain(const InspectOptions& options) {
  const Result<bool> good =
      Guarded<bool>([&]() -> Result<bool> { return RunInspect(options, std::cout); });
  if (!good.ok()) return Finish(good.status());
  return *good ? 0 : 1;
}

int VersionMain() {
  const Runtime runtime = DescribeRuntime();
  std::cout << "tributary-trainer " << kVersion << "\n"
            << RuntimeText(runtime) << " by default, " << ResolveThreads(0) << " available\n"
            << "devices: " << DevicesText() << "\n";
  if (const std::string warning = RuntimeWarning(runtime); !warning.empty()) {
    std::cout << "warning: " << warning << "\n";
  }
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app{"tributary-trainer: trains and evaluates adapters inside a site's job"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("tributary-trainer ") + kVersion);
  AddSelfDescription(&app, kVersion);
  TaskCommand task;
  std::string& directory = task.directory;
  const auto add = [&](const char* name, const char* text) {
    CLI::App* command = app.add_subcommand(name, text);
    command->add_option("--task", directory, "the task directory")->required();
    return command;
  };
  CLI::App* train = add("train", "Run the train task of a directory");
  CLI::App* evaluate = add("evaluate", "Run the evaluate task of a directory");
  for (CLI::App* command : {train, evaluate}) AddCompute(command, &task.device, &task.compute);
  const CLI::App* pretrain = add("pretrain", "Make a tokenizer and a small model from text");
  CLI::App* merge = app.add_subcommand("merge", "Work an adapter into its base model");
  std::string model;
  std::string adapter;
  std::string output;
  merge->add_option("--model", model, "the base model's directory")->required();
  merge->add_option("--adapter", adapter, "the adapter's directory, as PEFT writes it")->required();
  merge->add_option("--output", output, "the model directory to write")->required();
  PersonOptions options;
  const CLI::App* tokenize = AddTokenize(app, &options);
  const CLI::App* data_check = AddDataCheck(app, &options.data_check);
  const CLI::App* generate = AddGenerate(app, &options.generate);
  const CLI::App* inspect = AddInspect(app, &options.inspect);
  app.add_subcommand("version", "Print versions and what the program computes with");
  CLI11_PARSE(app, argc, argv);

  g_arguments = argv;
  InstallStopSignals();
  if (train->parsed()) return TaskMain(task, TaskKind::kTrain, &RunTrainTask);
  if (evaluate->parsed()) return TaskMain(task, TaskKind::kEvaluate, &RunEvaluateTask);
  if (pretrain->parsed()) return PretrainMain(directory);
  if (merge->parsed()) return MergeMain(model, adapter, output);
  if (tokenize->parsed()) return TokenizeMain(options);
  if (data_check->parsed()) return Finish(RunDataCheck(options.data_check, std::cout));
  if (inspect->parsed()) return InspectMain(options.inspect);
  if (generate->parsed()) return GenerateMain(options.generate);
  return VersionMain();
}

}  // namespace
}  // namespace tributary::trainer

int main(int argc, char** argv) { return tributary::trainer::Main(argc, argv); }
