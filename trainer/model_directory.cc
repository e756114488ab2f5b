#include "trainer/model_directory.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>

#include "core/files.h"
#include "core/task_contract.h"
#include "trainer/gpt2.h"
#include "trainer/llama.h"
#include "trainer/merge.h"

namespace tributary::trainer {
namespace {

constexpr std::string_view kConfigFile = "config.json";
constexpr std::string_view kTokenizerFile = "tokenizer.json";

// Each weight that gets a product becomes a copy of its own.
Status AddProducts(const std::string& path, const ModelShape& shape, NamedTensors* base) {
  constexpr std::string_view kPrefix = "base_model.model.";
  TRIBUTARY_ASSIGN_OR_RETURN(const NamedTensors factors, LoadWeights(path, at::kFloat));
  const std::vector<ModelModule> modules = shape.LinearModules();
  for (const auto& [name, a] : factors) {
    if (!name.ends_with(kMergedSuffixA)) continue;
    const std::string prefixed = name.substr(0, name.size() - kMergedSuffixA.size());
    const auto b = factors.find(prefixed + std::string(kMergedSuffixB));
    const std::string module_name = prefixed.substr(std::min(kPrefix.size(), prefixed.size()));
    const auto module = std::find_if(modules.begin(), modules.end(),
                                     [&](const ModelModule& m) { return m.name == module_name; });
    if (b == factors.end() || module == modules.end() || a.dim() != 2 || b->second.dim() != 2 ||
        b->second.size(1) != a.size(0) || b->second.size(0) != module->out ||
        a.size(1) != module->in) {
      return InvalidArgumentError("the product for " + prefixed + " fits no weight of the model");
    }
    at::Tensor& weight = base->find(module_name + ".weight")->second;
    weight = WithProduct(weight, module->transposed, b->second, a, 1);
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<LanguageModel>> CreateModel(const ModelConfig& config,
                                                   const NamedTensors& weights,
                                                   const Compute& compute) {
  // ModelConfig::FromJson lets no other model_type through.
  if (config.shape.model_type == "gpt2") return Gpt2::Create(config, weights, compute);
  return Llama::Create(config, weights, compute);
}

Result<ModelConfig> ReadModelConfig(const std::string& model_path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(model_path, kConfigFile)));
  return ModelConfig::FromJson(text).Annotate(model_path);
}

Result<std::unique_ptr<LanguageModel>> LoadModel(const std::string& model_path,
                                                 const ModelConfig& config, const Adapter& adapter,
                                                 const std::vector<std::string>& merged,
                                                 BasePrecision precision, const Compute& compute) {
  if (adapter.config.kind == AdapterKind::kFull) {
    if (precision == BasePrecision::kFp32) return CreateModel(config, adapter.tensors, compute);
    return InvalidArgumentError(
        "base_precision: an adapter of kind full trains every weight; must be fp32");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const WidenedWeights widened, WeightsWithProducts(merged));
  TRIBUTARY_ASSIGN_OR_RETURN(NamedTensors base, LoadBaseWeights(model_path, config.shape, precision,
                                                                widened, compute.device));
  for (const std::string& path : merged) {
    TRIBUTARY_RETURN_IF_ERROR(AddProducts(path, config.shape, &base).Annotate(path));
  }
  ReplaceSavedModules(adapter, config.shape, &base);
  TRIBUTARY_ASSIGN_OR_RETURN(std::unique_ptr<LanguageModel> model,
                             CreateModel(config, base, compute).Annotate(model_path));
  AttachLora(adapter, model.get());
  return model;
}

Result<AdaptedModel> LoadAdaptedModel(const std::string& model_path,
                                      const std::string& adapter_directory,
                                      const std::vector<std::string>& merged,
                                      BasePrecision precision, const Compute& compute) {
  AdaptedModel loaded;
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.config, ReadModelConfig(model_path));
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.tokenizer, LoadTokenizer(model_path));
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.adapter, LoadAdapter(adapter_directory, loaded.config.shape));
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.model, LoadModel(model_path, loaded.config, loaded.adapter,
                                                     merged, precision, compute));
  return loaded;
}

Result<AdaptedModel> LoadBaseModel(const std::string& model_path, BasePrecision precision,
                                   const Compute& compute) {
  AdaptedModel loaded;
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.config, ReadModelConfig(model_path));
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.tokenizer, LoadTokenizer(model_path));
  TRIBUTARY_ASSIGN_OR_RETURN(NamedTensors base, LoadBaseWeights(model_path, loaded.config.shape,
                                                                precision, {}, compute.device));
  TRIBUTARY_ASSIGN_OR_RETURN(loaded.model,
                             CreateModel(loaded.config, base, compute).Annotate(model_path));
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
  TRIBUTARY_RETURN_IF_ERROR(SaveWeights(JoinPath(temporary, kModelWeightsFile), weights));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(temporary, kConfigFile), config.ToJson(), 0644));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(temporary, kTokenizerFile), tokenizer_json, 0644));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(temporary, "tokenizer_config.json"), tokenizer_config_json, 0644));
  return RenameDurably(temporary, path);
}

}  // namespace tributary::trainer
