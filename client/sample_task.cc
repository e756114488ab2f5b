#include "client/sample_task.h"

#include <nlohmann/json.hpp>

#include "core/byte_alphabet.h"
#include "core/files.h"
#include "core/random.h"
#include "core/tensor_file.h"

namespace tributary::client {
namespace {

using nlohmann::json;

constexpr int kBytes = 256;

// A byte-level BPE without merges: every text is its bytes.
json Tokenizer() {
  json vocabulary;
  for (int byte = 0; byte < kBytes; ++byte) {
    vocabulary[BytesToAlphabet(std::string(1, static_cast<char>(byte)))] = byte;
  }
  json added = json::array();
  for (int i = 0; i < 2; ++i) {
    const char* content = i == 0 ? "<s>" : "</s>";
    vocabulary[content] = kBytes + i;
    added.push_back({{"id", kBytes + i},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocabulary},
            {"merges", json::array()}}}};
}

json Config(const SampleModel& size) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", size.vocabulary},
          {"hidden_size", size.hidden},
          {"intermediate_size", size.intermediate},
          {"num_hidden_layers", size.layers},
          {"num_attention_heads", size.heads},
          {"num_key_value_heads", size.kv_heads},
          {"max_position_embeddings", size.positions},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"attention_bias", false},
          {"tie_word_embeddings", true},
          {"torch_dtype", "float32"},
          {"bos_token_id", kBytes},
          {"eos_token_id", kBytes + 1}};
}

Status MakeData(const std::string& path) {
  static constexpr const char* kColours[] = {"red", "green", "blue", "grey"};
  std::string lines;
  for (int i = 0; i < 64; ++i) {
    const std::string number = std::to_string(i);
    const json line =
        i % 2 == 0
            ? json{{"text", "Sample " + number + " is " + kColours[i / 2 % 4] + "."}}
            : json{{"prompt", "Colour of " + number + "? "}, {"completion", kColours[i / 2 % 4]}};
    lines += line.dump() + "\n";
  }
  return WriteFileAtomic(path, lines, 0644);
}

}  // namespace

Status MakeModel(const std::string& directory, const SampleModel& size) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory, 0755));
  const std::string config = Config(size).dump(1);
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(directory, "config.json"), config, 0644));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(directory, "tokenizer.json"), Tokenizer().dump(1), 0644));
  const json tokenizer = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                          {"bos_token", "<s>"},
                          {"eos_token", "</s>"},
                          {"model_max_length", size.positions}};
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(directory, "tokenizer_config.json"), tokenizer.dump(1), 0644));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto shape, ModelShape::FromConfigJson(config));
  const auto values = [](const TensorSpec& spec, std::size_t offset, std::span<float> out) {
    SplitMix64 random(DeriveSeed(HashName(spec.name), offset));
    for (float& value : out) {  // norms one, weights small
      value = spec.shape.size() == 1 ? 1.0F : static_cast<float>((random.Unit() - 0.5) * 0.2);
    }
  };
  return WriteTensorFile(JoinPath(directory, "model.safetensors"), shape.AllWeights(), values,
                         {{"format", "pt"}})
      .status();
}

Result<SampleMaterial> MakeMaterial(const std::string& directory, const std::string& model,
                                    const std::string& data, const AdapterConfig& adapter) {
  SampleMaterial material{model, data, adapter, JoinPath(directory, "adapter.safetensors")};
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory));
  if (model.empty()) {
    material.model = JoinPath(directory, "model");
    TRIBUTARY_RETURN_IF_ERROR(MakeModel(material.model));
  }
  if (data.empty()) {
    material.data = JoinPath(directory, "data.jsonl");
    TRIBUTARY_RETURN_IF_ERROR(MakeData(material.data));
  }
  const std::string config_path = JoinPath(material.model, "config.json");
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string config, ReadFile(config_path));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto shape,
                             ModelShape::FromConfigJson(config).Annotate(config_path));
  TRIBUTARY_ASSIGN_OR_RETURN(const Manifest manifest, AdapterManifest(adapter, shape));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteSafetensors(material.weights, InitialLora(manifest, /*seed=*/1)).status());
  return material;
}

TaskFile SampleTask(const SampleMaterial& material, TaskKind kind) {
  TaskFile task;
  task.kind = kind;
  task.task = "check-r1-site";
  task.campaign = "check";
  task.site = "site";
  task.round = 1;
  task.seed = 0xfedcba9876543210ULL;  // more than a signed number holds
  task.model_path = material.model;
  task.data = {{"sample", material.data}};
  task.training.steps = 8;
  task.training.batch_size = 4;
  task.training.sequence_length = 64;
  task.training.learning_rate = 1e-2;
  task.threads = 1;
  task.walltime_seconds = 3600;
  return task;
}

Status StageTask(const std::string& directory, const SampleMaterial& material,
                 const std::string& task_json) {
  const std::string global = JoinPath(directory, "global");
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(global, 0700));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(JoinPath(directory, kStateDirectory), 0700));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string weights,
                             ReadFile(material.weights, std::size_t{1} << 30));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(global, kAdapterWeightsFile), weights));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(global, kAdapterConfigFile), material.adapter.ToPeftJson()));
  return WriteFileAtomic(JoinPath(directory, kTaskFile), task_json);
}

}  // namespace tributary::client
