#include "trainer/memory_estimate.h"

#include <algorithm>
#include <cstdio>

#include "core/files.h"
#include "trainer/attention.h"
#include "trainer/base_weights.h"
#include "trainer/kernels.h"
#include "trainer/model_directory.h"
#include "trainer/task_directory.h"

namespace tributary::trainer {
namespace {

constexpr std::uint64_t kProgramBytes = std::uint64_t{250} << 20;
constexpr std::int64_t kEvaluationTokens = 256;

// Everything below counts floats until the end.
std::int64_t Elements(const Manifest& manifest) {
  std::int64_t sum = 0;
  for (const TensorSpec& spec : manifest) sum += static_cast<std::int64_t>(spec.ElementCount());
  return sum;
}

std::int64_t TrainedElements(const ModelShape& shape, const AdapterLayout& layout,
                             const AdapterConfig& adapter) {
  if (adapter.kind == AdapterKind::kFull) return Elements(shape.AllWeights());
  std::int64_t sum = 0;
  for (const auto& [module, rank, scale] : layout.pairs) {
    sum += rank * (module.in + module.out + (adapter.middle ? rank : 0));
  }
  for (const ModelModule& module : layout.saved) {
    sum += module.out * std::max<std::int64_t>(module.in, 1) + (module.bias ? module.out : 0);
  }
  return sum;
}

// Copies of every trained tensor: itself and its gradient, the optimizer's, the strategy's.
std::int64_t Copies(const TaskFile& task) {
  if (task.kind == TaskKind::kEvaluate) return 1;
  std::int64_t copies = 2;
  if (task.training.optimizer == "adamw") {
    copies += 2;
  } else if (task.training.momentum > 0) {
    copies += 1;
  }
  if (task.proximal > 0) ++copies;
  if (!task.gradient_offset.empty()) ++copies;
  return copies;
}

// What one layer makes of one token: two residual sums, two norms, q, k, v, the attention's result,
// the MLP.
std::int64_t LayerWidth(const ModelShape& shape) {
  const std::int64_t q = shape.heads * shape.head_dim;
  const std::int64_t kv = shape.kv_heads * shape.head_dim;
  const std::int64_t mlp = (shape.model_type == "gpt2" ? 2 : 3) * shape.intermediate_size;
  return 4 * shape.hidden_size + 2 * q + 2 * kv + (shape.qk_norm ? q + kv : 0) + mlp;
}

// Beside it, for all layers: what LoRA keeps.
std::int64_t LoraWidth(const AdapterLayout& layout, bool dropout) {
  std::int64_t sum = 0;
  for (const auto& [module, rank, scale] : layout.pairs)
    sum += rank + (dropout ? 2 * module.in : 0);
  return sum;
}

// What training keeps of one token: every layer, and about one more for the gradients that pass
// through; with checkpointing the layers' inputs, and one layer at a time.
std::int64_t TrainingWidth(const TrainingSettings& settings, const ModelShape& shape,
                           std::int64_t lora) {
  if (!settings.gradient_checkpointing) return (shape.layers + 1) * LayerWidth(shape) + lora;
  return shape.layers * shape.hidden_size + 2 * LayerWidth(shape) + lora / shape.layers;
}

// Gradients of the head and the embedding are made whole, beside those that are kept.
std::int64_t WholeGradients(const ModelShape& shape, const AdapterLayout& layout,
                            AdapterKind kind) {
  const std::int64_t table = shape.vocab_size * shape.hidden_size;
  if (kind == AdapterKind::kFull) return 2 * table;
  std::int64_t sum = 0;
  for (const ModelModule& module : layout.saved) {
    if (module.kind == ModuleKind::kHead || module.kind == ModuleKind::kEmbedding) sum += table;
  }
  return sum;
}

std::string Gib(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

}  // namespace

std::string MemoryEstimate::Text() const {
  return "about " + Gib(Total()) + " at the peak: " + Gib(program) + " program, " + Gib(weights) +
         " base weights, " + Gib(trained) + " trained tensors and optimizer, " + Gib(activations) +
         " activations";
}

MemoryEstimate EstimateMemory(const TaskFile& task, const ModelShape& shape,
                              const AdapterConfig& adapter, const AdapterLayout& layout,
                              std::int64_t threads) {
  const AdapterKind kind = adapter.kind;
  const bool train = task.kind == TaskKind::kTrain;
  const std::int64_t evaluated =
      shape.positions > 0 ? std::min(kEvaluationTokens, shape.positions) : kEvaluationTokens;
  const std::int64_t length = train ? task.training.sequence_length : evaluated;
  const std::int64_t rows =
      length * (train ? task.training.batch_size : task.evaluation_batch_size);
  const std::int64_t width =
      4 * shape.hidden_size +
      (train ? TrainingWidth(task.training, shape, LoraWidth(layout, adapter.dropout > 0))
             : LayerWidth(shape));
  // Scores, probabilities and the gradient of each.
  const std::int64_t attention = threads * 4 * std::min(length, kScoreRows) * length;
  // Exact match: keys and values of one example and its answer.
  const std::int64_t answer = task.evaluation_answer_tokens;
  const std::int64_t cached =
      train || answer == 0 ? 0
                           : 2 * shape.layers * shape.kv_heads * shape.head_dim * (length + answer);
  const std::int64_t logits = 2 * std::min(rows, kLogitRows) * shape.vocab_size;
  MemoryEstimate estimate;
  constexpr std::uint64_t kBytes = sizeof(float);
  const auto bytes = [](std::int64_t floats) {
    return static_cast<std::uint64_t>(floats) * kBytes;
  };
  estimate.program = kProgramBytes;
  if (kind == AdapterKind::kLora) estimate.weights = bytes(Elements(shape.AllWeights()));
  estimate.trained = bytes(TrainedElements(shape, layout, adapter) * Copies(task) +
                           (train ? WholeGradients(shape, layout, kind) : 0));
  estimate.activations = bytes(rows * width + attention + cached + logits);
  return estimate;
}

Status CheckMemory(const MemoryEstimate& estimate, std::optional<std::uint64_t> available) {
  if (!available || estimate.Total() <= *available) return OkStatus();
  return ResourceExhaustedError(
      "the task needs " + estimate.Text() + "; " + Gib(*available) +
      " is available; ask for more memory, or lower batch_size or sequence_length");
}

Result<MemoryEstimate> EstimateTaskMemory(const std::string& directory, const TaskFile& task,
                                          std::int64_t threads) {
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelConfig config,
                             ReadModelConfig(JoinPath(directory, task.model_path)));
  const ModelShape& shape = config.shape;
  if (task.kind == TaskKind::kTrain && shape.positions > 0 &&
      task.training.sequence_length > shape.positions) {
    return InvalidArgumentError(
        "training.sequence_length: " + std::to_string(task.training.sequence_length) +
        " is more than the model's " + std::to_string(shape.positions) + " positions");
  }
  const std::string path = JoinPath(JoinPath(directory, "global"), kAdapterConfigFile);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  TRIBUTARY_ASSIGN_OR_RETURN(const AdapterConfig adapter,
                             AdapterConfig::FromPeftJson(text).Annotate(path));
  TRIBUTARY_ASSIGN_OR_RETURN(const AdapterLayout layout,
                             LayOutAdapter(adapter, shape).Annotate(path));
  MemoryEstimate estimate = EstimateMemory(task, shape, adapter, layout, threads);
  TRIBUTARY_ASSIGN_OR_RETURN(const BasePrecision precision,
                             ParseBasePrecision(task.training.base_precision));
  if (precision != BasePrecision::kFp32 && adapter.kind == AdapterKind::kLora) {
    TRIBUTARY_ASSIGN_OR_RETURN(const WidenedWeights widened,
                               WeightsWithProducts(MergedPaths(directory, task)));
    TRIBUTARY_ASSIGN_OR_RETURN(const ModelFiles files,
                               ModelFiles::Open(JoinPath(directory, task.model_path), shape));
    estimate.weights = BaseWeightBytes(files.weights(), shape, precision, widened);
  }
  return estimate;
}

}  // namespace tributary::trainer
