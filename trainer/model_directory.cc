#include "trainer/model_directory.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>

#include "core/files.h"
#include "core/task_contract.h"
#include "trainer/llama.h"

namespace tributary::trainer {
namespace {

constexpr std::string_view kConfigFile = "config.json";
constexpr std::string_view kWeightsFile = "model.safetensors";
constexpr std::string_view kTokenizerFile = "tokenizer.json";

Result<NamedTensors> LoadBaseWeights(const std::string& model_path) {
  const std::string path = JoinPath(model_path, kWeightsFile);
  if (!PathExists(path) && PathExists(path + ".index.json")) {
    return UnimplementedError(model_path +
                              ": weights in several files are not supported; merge them into "
                              "model.safetensors");
  }
  return LoadWeights(path, at::kFloat);
}

// Each weight that gets a product becomes a copy of its own.
Status AddProducts(const std::string& path, NamedTensors* base) {
  constexpr std::string_view kPrefix = "base_model.model.";
  TRIBUTARY_ASSIGN_OR_RETURN(const NamedTensors factors, LoadWeights(path, at::kFloat));
  for (const auto& [name, a] : factors) {
    if (!name.ends_with(kMergedSuffixA)) continue;
    const std::string module = name.substr(0, name.size() - kMergedSuffixA.size());
    const auto b = factors.find(module + std::string(kMergedSuffixB));
    const auto weight =
        base->find(module.substr(std::min(kPrefix.size(), module.size())) + ".weight");
    if (b == factors.end() || weight == base->end() || a.dim() != 2 || b->second.dim() != 2 ||
        weight->second.dim() != 2 || b->second.size(1) != a.size(0) ||
        b->second.size(0) != weight->second.size(0) || a.size(1) != weight->second.size(1)) {
      return InvalidArgumentError("the product for " + module + " fits no weight of the model");
    }
    weight->second = at::addmm(weight->second, b->second, a);
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<LanguageModel>> CreateModel(const ModelConfig& config,
                                                   const NamedTensors& weights) {
  return Llama::Create(config, weights);  // ModelConfig::FromJson lets no other model_type through
}

Result<AdaptedModel> LoadAdaptedModel(const std::string& model_path,
                                      const std::string& adapter_directory,
                                      const std::vector<std::string>& merged) {
  AdaptedModel loaded;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string config_text,
                             ReadFile(JoinPath(model_path, kConfigFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.config,
                             ModelConfig::FromJson(config_text).Annotate(model_path));
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.tokenizer, LoadTokenizer(JoinPath(model_path, kTokenizerFile)));
  if (loaded.tokenizer->VocabSize() > loaded.config.shape.vocab_size) {
    return InvalidArgumentError(
        model_path + ": tokenizer.json has " + std::to_string(loaded.tokenizer->VocabSize()) +
        " tokens, config.json allows " + std::to_string(loaded.config.shape.vocab_size));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.adapter, LoadAdapter(adapter_directory, loaded.config.shape));
  if (loaded.adapter.config.kind == AdapterKind::kFull) {
    TRIBUTARY_ASSIGN_OR_RETURN(loaded.model, CreateModel(loaded.config, loaded.adapter.tensors));
    return loaded;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(NamedTensors base, LoadBaseWeights(model_path));
  for (const std::string& path : merged) {
    TRIBUTARY_RETURN_IF_ERROR(AddProducts(path, &base).Annotate(path));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.model, CreateModel(loaded.config, base).Annotate(model_path));
  AttachLora(loaded.adapter, loaded.model.get());
  return loaded;
}

Status CheckOutputPath(const std::string& path) {
  if (!PathExists(path)) return OkStatus();
  return AlreadyExistsError("output_path: " + path + " is there; remove it or choose another");
}

Status SaveModelDirectory(const std::string& path, const ModelConfig& config,
                          const NamedTensors& weights, const std::string& tokenizer_json,
                          const std::string& tokenizer_config_json) {
  TRIBUTARY_RETURN_IF_ERROR(CheckOutputPath(path));
  const std::string temporary = path + ".tmp-" + std::to_string(getpid());
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(temporary));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(temporary, 0755));
  TRIBUTARY_RETURN_IF_ERROR(SaveWeights(JoinPath(temporary, kWeightsFile), weights));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(temporary, kConfigFile), config.ToJson(), 0644));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(temporary, kTokenizerFile), tokenizer_json, 0644));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(temporary, "tokenizer_config.json"), tokenizer_config_json, 0644));
  return RenameDurably(temporary, path);
}

}  // namespace tributary::trainer
