#include "trainer/training.h"

#include <ATen/ATen.h>

#include <memory>

#include "core/files.h"
#include "trainer/dataset.h"
#include "trainer/device.h"
#include "trainer/local_objective.h"
#include "trainer/model_directory.h"
#include "trainer/optimizer.h"
#include "trainer/progress.h"
#include "trainer/say.h"
#include "trainer/task_directory.h"
#include "trainer/training_loop.h"

namespace tributary::trainer {
namespace {

TaskResult ToResult(const TrainingOutcome& outcome, std::int64_t planned, const Dataset& dataset,
                    const at::Device& device) {
  TaskResult result;
  result.samples = outcome.samples;
  result.tokens = outcome.tokens;
  result.steps = outcome.steps;
  result.learning_rate_sum = outcome.learning_rate_sum;
  result.loss_first = outcome.loss_first;
  result.loss_last = outcome.loss_last;
  result.train_seconds = outcome.seconds;
  NoteDevice(device, &result);
  const auto count = [&result](const char* name, std::int64_t number) {
    if (number > 0) result.metrics[name] = static_cast<double>(number);
  };
  count("examples_cut_off", dataset.cut_off);
  count("examples_truncated", dataset.truncated);
  count("bad_lines", dataset.bad_lines);
  if (outcome.stopped) {
    result.completion = Completion::kPartial;
    result.message = "stopped by a signal after " + std::to_string(outcome.steps) + " of " +
                     std::to_string(planned) + " steps";
  }
  return result;
}

// With the state that the last task of this site left, where the strategy keeps it. What does not
// fit (other ranks are trained) begins anew.
Result<std::unique_ptr<Optimizer>> OpenOptimizer(const std::string& directory, const TaskFile& task,
                                                 const NamedTensors& trained) {
  auto optimizer = MakeOptimizer(trained, task.training);
  const std::string path = JoinPath(JoinPath(directory, kStateDirectory), kOptimizerFile);
  if (!task.keep_optimizer || !PathExists(path)) return optimizer;
  TRIBUTARY_ASSIGN_OR_RETURN(const NamedTensors state, LoadWeights(path, at::kFloat));
  if (!optimizer->Restore(state).ok()) return MakeOptimizer(trained, task.training);
  return optimizer;
}

}  // namespace

Result<TaskResult> RunTrainTask(const std::string& directory, const TaskFile& task,
                                const Compute& compute, const std::function<bool()>& stop) {
  TRIBUTARY_ASSIGN_OR_RETURN(const LauncherPlace place, FindPlace(EnvironmentVariables()));
  TRIBUTARY_ASSIGN_OR_RETURN(const Workers workers, Workers::Join(place));
  TRIBUTARY_ASSIGN_OR_RETURN(ProgressWriter progress, ProgressWriter::Open(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const BasePrecision precision,
                             ParseBasePrecision(task.training.base_precision));
  TRIBUTARY_ASSIGN_OR_RETURN(
      AdaptedModel loaded,
      LoadAdaptedModel(JoinPath(directory, task.model_path), JoinPath(directory, "global"),
                       MergedPaths(directory, task), precision, compute));
  const NamedTensors trained = RequireGradients(&loaded.adapter.tensors, task.frozen);
  TRIBUTARY_ASSIGN_OR_RETURN(TokenCache cache,
                             OpenTokenCache(directory, JoinPath(directory, task.model_path)));
  TRIBUTARY_ASSIGN_OR_RETURN(const Dataset dataset, LoadDataset(task.data, directory, loaded.config,
                                                                task.training.sequence_length,
                                                                loaded.tokenizer.get(), &cache));
  if (workers.first()) Say("data: " + cache.Summary());
  if (task.pruning) DropRanks(*task.pruning, trained);
  TRIBUTARY_ASSIGN_OR_RETURN(const LocalObjective objective,
                             LocalObjective::Make(task, directory, trained));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto optimizer, OpenOptimizer(directory, task, trained));
  TRIBUTARY_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(directory, task.task));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const TrainingOutcome outcome,
      RunTraining(*loaded.model, trained, dataset, task.training, task.seed, objective,
                  optimizer.get(), {&progress, stop, &checkpoint, &workers}));
  if (outcome.steps == 0) return CancelledError("stopped by a signal before the first step");
  const TaskResult result = ToResult(outcome, task.training.steps, dataset, compute.device);
  if (!workers.first()) return result;
  TRIBUTARY_RETURN_IF_ERROR(WriteUpdate(directory, result, &loaded.adapter,
                                        task.keep_optimizer ? optimizer->State() : NamedTensors()));
  TRIBUTARY_RETURN_IF_ERROR(checkpoint.Remove());
  return result;
}

}  // namespace tributary::trainer
