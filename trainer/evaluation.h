// `tributary-trainer evaluate`: the loss of a model with an adapter on each data source.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/dataset.h"
#include "trainer/device.h"
#include "trainer/language_model.h"

namespace tributary::trainer {

// Carries out the evaluate task in `directory` and writes update/result.json with
// metrics "loss/<name>", the mean over loss tokens, "perplexity/<name>", and where answer_tokens
// are asked for "exact_match/<name>". On an error nothing is written.
Result<TaskResult> RunEvaluateTask(const std::string& directory, const TaskFile& task,
                                   const Compute& compute, const std::function<bool()>& stop);

// Mean loss per loss token over the examples, in batches of `batch_size`; `after_batch` may end it
// with an error.
Result<double> MeanLoss(const LanguageModel& model, const Dataset& dataset, std::int64_t batch_size,
                        const std::function<Status(std::int64_t examples)>& after_batch);

// The part of the examples with a prompt whose last answer the model gives when it always takes the
// likeliest token, white space at both ends aside; `examples` counts them. An answer ends with the
// example's last token, or after `answer_tokens`.
struct ExactMatch {
  std::int64_t examples = 0;
  std::int64_t matches = 0;
};
Result<ExactMatch> CountExactMatches(const LanguageModel& model, const Tokenizer& tokenizer,
                                     const Dataset& dataset, std::int64_t answer_tokens,
                                     std::int64_t max_positions, const std::function<bool()>& stop);

}  // namespace tributary::trainer
