// The task directory: the contract between the client daemon and whatever trains. See
// docs/task_directory.md.
//
//   task.json                       what to do (TaskFile)
//   global/adapter_model.safetensors, global/adapter_config.json
//   state/                          durable for this site and campaign across tasks
//   progress.jsonl                  appended by the trainer (ProgressLine)
//   update/...                      renamed into place when whole: adapter_model.safetensors,
//   adapter_config.json, result.json
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/train_directive.h"

namespace tributary {

class JsonObjectReader;

inline constexpr int kTaskSchema = 1;
inline constexpr std::string_view kTaskFile = "task.json";
inline constexpr std::string_view kProgressFile = "progress.jsonl";
inline constexpr std::string_view kResultFile = "result.json";
inline constexpr std::string_view kUpdateDirectory = "update";
inline constexpr std::string_view kStateDirectory = "state";
inline constexpr std::string_view kOptimizerFile = "optimizer.safetensors";
inline constexpr std::string_view kMergedSuffixA = ".merged_A.weight";  // [q, in]
inline constexpr std::string_view kMergedSuffixB = ".merged_B.weight";  // [out, q]

enum class TaskKind : std::uint8_t { kTrain, kEvaluate };
std::string_view TaskKindName(TaskKind kind);  // "train", "evaluate"

// How a train task optimises. Field names are the keys of task.json and of the campaign file.
struct TrainingSettings {
  std::int64_t steps = 50;      // optimizer steps
  std::int64_t batch_size = 8;  // sequences per micro-batch
  std::int64_t gradient_accumulation = 1;
  std::int64_t sequence_length = 256;  // tokens; longer examples are cut
  double learning_rate = 1e-3;
  double learning_rate_scale = 1;     // set by pacing
  std::string schedule = "constant";  // constant | cosine, after warm-up, over this task's steps
  std::int64_t warmup_steps = 0;
  double weight_decay = 0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // AdamW
  double max_grad_norm = 1;                           // 0 = no clipping
  std::string optimizer = "adamw";                    // adamw | sgd
  double momentum = 0;                                // of sgd: b = momentum b + g
  bool gradient_checkpointing = false;  // layers keep only their input and compute it all again
  std::string base_precision = "fp32";  // fp32 | stored | int8: what frozen weights are kept as

  // Reads the "training" object of task.json; problems go where the reader notes them.
  static TrainingSettings Read(JsonObjectReader& reader);
};

struct DataSource {
  std::string name;
  std::string path;                // JSONL
  std::string chat_template = {};  // docs/data.md; empty: the trainer decides
  std::int64_t max_bad_lines = 0;  // that are left out; with more the task fails
};

// Ranks of a LoRA adapter that a task is to empty, and those that are empty for good.
struct PrunedRanks {
  double penalty = 0;     // lambda: on sum over modules of |B[:, from:kept]| |A[from:kept]|
  std::int64_t from = 0;  // at most `kept`
  std::int64_t kept = 0;  // ranks from here on are zero in both factors

  friend bool operator==(const PrunedRanks&, const PrunedRanks&) = default;
};

struct TaskFile {
  TaskKind kind = TaskKind::kTrain;
  std::string task, campaign, site;
  std::int64_t round = 0;
  std::int64_t global_version = 0;
  std::uint64_t seed = 0;  // of this task: from campaign seed, round and site
  std::string model_path;  // Hugging Face style directory
  std::vector<DataSource> data;
  TrainingSettings training;                  // kTrain; kEvaluate: base_precision alone
  std::int64_t evaluation_batch_size = 16;    // kEvaluate
  std::int64_t evaluation_max_examples = 0;   // per data source; 0 = all
  std::int64_t evaluation_answer_tokens = 0;  // generated for exact match; 0 = no exact match
  // What the campaign's strategy asks of a trainer beyond plain training; see
  // docs/task_directory.md.
  std::vector<std::string> merged;  // products that belong to the base weights, in this order
  FrozenFactor frozen = FrozenFactor::kNone;  // kTrain, as all below
  double proximal = 0;
  std::string gradient_offset;  // a tensor for each trained one; empty: none
  bool keep_optimizer = false;
  std::optional<PrunedRanks> pruning;
  std::int64_t threads = 0;           // CPU threads of the job; 0 = the trainer decides
  std::int64_t walltime_seconds = 0;  // 0 = none

  std::string ToJson() const;
  static Result<TaskFile> FromJson(std::string_view text);
};

enum class Completion : std::uint8_t { kComplete, kPartial, kFailed };
std::string_view CompletionName(Completion completion);  // "complete", "partial", "failed"

// update/result.json
struct TaskResult {
  Completion completion = Completion::kComplete;
  std::string message;                   // why partial or failed
  std::int64_t samples = 0;              // examples consumed
  std::int64_t tokens = 0;               // tokens that carried loss
  std::int64_t steps = 0;                // optimizer steps really done
  double learning_rate_sum = 0;          // over those steps
  double loss_first = 0, loss_last = 0;  // mean of the first and the last tenth of the steps
  double train_seconds = 0;
  std::string device;                     // that computed, "cuda, NVIDIA H100"; empty: not said
  std::int64_t peak_memory_bytes = 0;     // of that device; 0: not said
  std::map<std::string, double> metrics;  // "loss/<data name>", "perplexity/<data name>", ...

  std::string ToJson() const;
  static Result<TaskResult> FromJson(std::string_view text);
};

// One line of progress.jsonl. Readers take the last whole line.
struct ProgressLine {
  std::int64_t step = 0;
  std::int64_t steps = 0;
  double loss = 0;
  std::int64_t tokens = 0;  // so far
  double seconds = 0;       // since the trainer started

  std::string ToJson() const;
  static Result<ProgressLine> FromJson(std::string_view text);
};

}  // namespace tributary
