#include "trainer/evaluation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "core/files.h"
#include "trainer/device.h"
#include "trainer/generation.h"
#include "trainer/model_directory.h"
#include "trainer/progress.h"
#include "trainer/say.h"
#include "trainer/task_directory.h"

namespace tributary::trainer {
namespace {

// Every source, tokenised with the whole context of the model and cut to the number asked for.
Result<std::vector<Dataset>> LoadSources(const std::string& directory, const TaskFile& task,
                                         const AdaptedModel& loaded) {
  TRIBUTARY_ASSIGN_OR_RETURN(TokenCache cache,
                             OpenTokenCache(directory, JoinPath(directory, task.model_path)));
  std::vector<Dataset> sources;
  for (const DataSource& source : task.data) {
    TRIBUTARY_ASSIGN_OR_RETURN(
        Dataset dataset, LoadDataset({source}, directory, loaded.config,
                                     loaded.config.max_positions, loaded.tokenizer.get(), &cache));
    if (task.evaluation_max_examples > 0) {
      dataset.Limit(static_cast<std::size_t>(task.evaluation_max_examples));
    }
    sources.push_back(std::move(dataset));
  }
  Say("data: " + cache.Summary());
  return sources;
}

std::string Trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

}  // namespace

Result<ExactMatch> CountExactMatches(const LanguageModel& model, const Tokenizer& tokenizer,
                                     const Dataset& dataset, std::int64_t answer_tokens,
                                     std::int64_t max_positions,
                                     const std::function<bool()>& stop) {
  ExactMatch result;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const TokenExample example = dataset.At(i);
    const TokenExample::Span span = example.loss.back();
    if (span.begin < 2) continue;  // a text: nothing is asked
    const auto begin = example.ids.begin() + span.begin;
    const auto end = example.ids.begin() + span.end - 1;  // the last token ends the answer
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::int32_t> given,
                               Generate(model, {example.ids.begin(), begin}, {*end}, max_positions,
                                        {.max_tokens = answer_tokens}, stop));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string expected, tokenizer.Decode({begin, end}));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string answer, tokenizer.Decode(given));
    ++result.examples;
    if (Trimmed(answer) == Trimmed(expected)) ++result.matches;
  }
  return result;
}

Result<double> MeanLoss(const LanguageModel& model, const Dataset& dataset, std::int64_t batch_size,
                        const std::function<Status(std::int64_t examples)>& after_batch) {
  const at::NoGradGuard no_grad;
  double sum = 0;
  std::int64_t tokens = 0;
  const auto step = static_cast<std::size_t>(batch_size);
  for (std::size_t begin = 0; begin < dataset.size(); begin += step) {
    std::vector<TokenExample> examples;
    for (std::size_t i = begin; i < std::min(begin + step, dataset.size()); ++i) {
      examples.push_back(dataset.At(i));
    }
    const PackedBatch batch = Pack(examples);
    sum += LossSum(model, batch).item<double>();
    tokens += batch.targets.numel();
    TRIBUTARY_RETURN_IF_ERROR(after_batch(batch.examples));
  }
  const double mean = sum / static_cast<double>(tokens);
  if (!std::isfinite(mean)) return InvalidArgumentError("the loss is not finite");
  return mean;
}

Result<TaskResult> RunEvaluateTask(const std::string& directory, const TaskFile& task,
                                   const Compute& compute, const std::function<bool()>& stop) {
  TRIBUTARY_ASSIGN_OR_RETURN(ProgressWriter progress, ProgressWriter::Open(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const BasePrecision precision,
                             ParseBasePrecision(task.training.base_precision));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const AdaptedModel loaded,
      LoadAdaptedModel(JoinPath(directory, task.model_path), JoinPath(directory, "global"),
                       MergedPaths(directory, task), precision, compute));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Dataset> sources,
                             LoadSources(directory, task, loaded));
  std::int64_t total = 0;
  for (const Dataset& source : sources) total += static_cast<std::int64_t>(source.size());

  TaskResult result;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto after_batch = [&](std::int64_t examples) {
      if (stop()) return CancelledError("stopped by a signal before the evaluation was complete");
      result.samples += examples;
      return progress.Report({result.samples, total, 0, result.tokens, 0});
    };
    const std::string& name = task.data[i].name;
    TRIBUTARY_ASSIGN_OR_RETURN(const double loss, MeanLoss(*loaded.model, sources[i],
                                                           task.evaluation_batch_size, after_batch)
                                                      .Annotate(name));
    result.tokens += sources[i].LossTokens();
    result.metrics["loss/" + name] = loss;
    result.metrics["perplexity/" + name] = std::exp(std::min(loss, 700.0));  // stays finite
    if (sources[i].bad_lines > 0) {
      result.metrics["bad_lines/" + name] = static_cast<double>(sources[i].bad_lines);
    }
    if (task.evaluation_answer_tokens == 0) continue;
    TRIBUTARY_ASSIGN_OR_RETURN(
        const ExactMatch match,
        CountExactMatches(*loaded.model, *loaded.tokenizer, sources[i],
                          task.evaluation_answer_tokens, loaded.config.max_positions, stop)
            .Annotate(name));
    if (match.examples > 0) {
      result.metrics["exact_match/" + name] =
          static_cast<double>(match.matches) / static_cast<double>(match.examples);
    }
  }
  result.train_seconds = progress.Seconds();
  NoteDevice(compute.device, &result);
  TRIBUTARY_RETURN_IF_ERROR(WriteUpdate(directory, result, nullptr));
  return result;
}

}  // namespace tributary::trainer
