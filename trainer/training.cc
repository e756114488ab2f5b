#include "trainer/training.h"

#include "core/files.h"
#include "trainer/dataset.h"
#include "trainer/model_directory.h"
#include "trainer/progress.h"
#include "trainer/task_directory.h"
#include "trainer/training_loop.h"

namespace tributary::trainer {
namespace {

TaskResult ToResult(const TrainingOutcome& outcome, std::int64_t planned, std::int64_t cut_off) {
  TaskResult result;
  result.samples = outcome.samples;
  result.tokens = outcome.tokens;
  result.steps = outcome.steps;
  result.loss_first = outcome.loss_first;
  result.loss_last = outcome.loss_last;
  result.train_seconds = outcome.seconds;
  if (cut_off > 0) result.metrics["examples_cut_off"] = static_cast<double>(cut_off);
  if (outcome.stopped) {
    result.completion = Completion::kPartial;
    result.message = "stopped by a signal after " + std::to_string(outcome.steps) + " of " +
                     std::to_string(planned) + " steps";
  }
  return result;
}

}  // namespace

Result<TaskResult> RunTrainTask(const std::string& directory, const TaskFile& task,
                                const std::function<bool()>& stop) {
  TRIBUTARY_ASSIGN_OR_RETURN(ProgressWriter progress, ProgressWriter::Open(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(
      AdaptedModel loaded,
      LoadAdaptedModel(JoinPath(directory, task.model_path), JoinPath(directory, "global")));
  RequireGradients(&loaded.adapter.tensors);
  TRIBUTARY_ASSIGN_OR_RETURN(const Dataset dataset,
                             LoadDataset(task.data, directory, loaded.config,
                                         task.training.sequence_length, loaded.tokenizer.get()));
  TRIBUTARY_ASSIGN_OR_RETURN(const TrainingOutcome outcome,
                             RunTraining(*loaded.model, loaded.adapter.tensors, dataset,
                                         task.training, task.seed, &progress, stop));
  if (outcome.steps == 0) return CancelledError("stopped by a signal before the first step");
  const TaskResult result = ToResult(outcome, task.training.steps, dataset.cut_off);
  TRIBUTARY_RETURN_IF_ERROR(WriteUpdate(directory, result, &loaded.adapter));
  return result;
}

}  // namespace tributary::trainer
