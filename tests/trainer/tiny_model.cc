#include "tests/trainer/tiny_model.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <iostream>

#include "core/files.h"
#include "core/random.h"
#include "trainer/bpe_training.h"
#include "trainer/llama.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

at::Tensor RandomTensor(const std::vector<std::int64_t>& shape, double scale, double centre,
                        std::uint64_t seed) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  SplitMix64 random(seed);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.data_ptr<double>()[i] = centre + scale * (2 * random.Unit() - 1);
  }
  return tensor;
}

void Must(const Status& status) {
  if (status.ok()) return;
  std::cerr << status << std::endl;
  std::abort();
}

constexpr const char* kTrainingText =
    R"({"prompt": "Define: water\n", "completion": "a clear liquid"}
{"prompt": "Define: ice\n", "completion": "water that is solid"}
{"text": "steam is hot"}
{"prompt": "Define: snow\n", "completion": "soft white ice"}
{"prompt": "Define: rain\n", "completion": "water from the sky"}
)";

}  // namespace

ModelConfig TinyConfig() {
  ModelConfig config;
  config.shape = {.vocab_size = 13,
                  .hidden_size = 8,
                  .intermediate_size = 12,
                  .layers = 2,
                  .heads = 4,
                  .kv_heads = 2,
                  .head_dim = 4,
                  .tied_embeddings = false};
  config.norm_eps = 1e-5;
  config.rope_theta = 100;
  config.max_positions = 64;
  config.bos_token = 0;
  config.eos_token = 1;
  return config;
}

ModelConfig TinyConfigOf(const std::string& model_type) {
  ModelConfig config = TinyConfig();
  ModelShape& shape = config.shape;
  shape.model_type = model_type;
  if (model_type == "mistral") config.windows = {3, 3};
  if (model_type == "qwen2") shape.qkv_bias = true;
  if (model_type == "qwen3") shape.qk_norm = true;
  if (model_type == "gpt2") {
    shape.head_dim = 2;
    shape.kv_heads = shape.heads;
    shape.positions = 64;
    shape.tied_embeddings = true;
    shape.qkv_bias = shape.output_bias = shape.mlp_bias = true;
  }
  return config;
}

NamedTensors TinyWeights(const ModelConfig& config, at::ScalarType dtype) {
  NamedTensors weights;
  for (const TensorSpec& spec : config.shape.AllWeights()) {
    const bool small = spec.shape.size() == 1;
    const bool norm = small && spec.name.ends_with(".weight");
    weights[spec.name] =
        RandomTensor(spec.shape, small ? 0.2 : 0.6, norm ? 1 : 0, HashName(spec.name)).to(dtype);
  }
  return weights;
}

Adapter TinyLora(const ModelConfig& config, at::ScalarType dtype, double dropout, bool middle) {
  Adapter adapter;
  adapter.config.rank = 3;
  adapter.config.alpha = 6;
  adapter.config.dropout = dropout;
  adapter.config.middle = middle;
  adapter.config.target_modules.clear();
  adapter.config.target_pattern = "all-linear";
  adapter.config_text = adapter.config.ToPeftJson();
  Result<AdapterLayout> layout = LayOutAdapter(adapter.config, config.shape);
  Must(layout.status());
  adapter.layout = std::move(*layout);
  const Result<Manifest> manifest = AdapterManifest(adapter.config, config.shape);
  Must(manifest.status());
  for (const TensorSpec& spec : *manifest) {
    adapter.tensors[spec.name] = RandomTensor(spec.shape, 0.5, 0, HashName(spec.name)).to(dtype);
  }
  return adapter;
}

PackedBatch TinyBatch(const std::vector<std::vector<std::int32_t>>& sequences,
                      std::int64_t loss_from) {
  std::vector<TokenExample> examples;
  for (const std::vector<std::int32_t>& ids : sequences) {
    const auto size = static_cast<std::int64_t>(ids.size());
    examples.push_back({ids, {{loss_from, size}}});
  }
  return Pack(examples);
}

TaskFile TinyTrainTask(const std::string& directory) {
  TaskFile task;
  task.task = "task-1";
  task.campaign = "tiny";
  task.site = "here";
  task.seed = 7;
  task.model_path = "model";
  task.threads = 1;
  task.data = {{"tiny", JoinPath(directory, "train.jsonl")}};
  task.training.steps = 5;
  task.training.batch_size = 2;
  task.training.sequence_length = 32;
  task.training.learning_rate = 0.01;
  return task;
}

void WriteTinyTask(const std::string& directory, const TaskFile& task, AdapterKind kind) {
  ModelConfig config = TinyConfig();
  Result<PreTokenizer> pre_tokenizer = PreTokenizer::Create(kGpt2Pattern);
  Must(pre_tokenizer.status());
  const Result<BpeModel> bpe = BpeTrainer(std::move(*pre_tokenizer)).Train(258, {"<s>", "</s>"});
  Must(bpe.status());
  config.shape.vocab_size = 258;
  Must(SaveModelDirectory(JoinPath(directory, "model"), config, TinyWeights(config, at::kFloat),
                          bpe->ToJson(0), "{}"));
  Must(WriteFileAtomic(JoinPath(directory, "train.jsonl"), kTrainingText));
  Must(WriteFileAtomic(JoinPath(directory, kTaskFile), task.ToJson()));

  const std::string global = JoinPath(directory, "global");
  Must(MakeDirectories(global));
  AdapterConfig adapter;
  adapter.kind = kind;
  adapter.dropout = 0.1;
  Must(WriteFileAtomic(JoinPath(global, kAdapterConfigFile), adapter.ToPeftJson()));
  const std::string path = JoinPath(global, kAdapterWeightsFile);
  if (kind == AdapterKind::kFull) {
    Must(SaveWeights(path, TinyWeights(config, at::kFloat)));
  } else {
    const Result<Manifest> manifest = AdapterManifest(adapter, config.shape);
    Must(manifest.status());
    Must(WriteSafetensors(path, InitialLora(*manifest, 1)).status());
  }
}

}  // namespace tributary::trainer
