#include "trainer/adapter.h"

#include <ATen/ATen.h>

#include "core/files.h"

namespace tributary::trainer {

Result<Adapter> LoadAdapter(const std::string& directory, const LlamaShape& shape,
                            at::ScalarType dtype) {
  Adapter adapter;
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.config_text,
                             ReadFile(JoinPath(directory, kAdapterConfigFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.config, AdapterConfig::FromPeftJson(adapter.config_text));
  TRIBUTARY_ASSIGN_OR_RETURN(const Manifest expected, AdapterManifest(adapter.config, shape));
  const std::string path = JoinPath(directory, kAdapterWeightsFile);
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.tensors, LoadWeights(path, dtype));
  TRIBUTARY_RETURN_IF_ERROR(CheckManifest(expected, ManifestOf(adapter.tensors)).Annotate(path));
  for (auto& [name, tensor] : adapter.tensors) tensor = tensor.clone();
  return adapter;
}

void AttachLora(const Adapter& adapter, LanguageModel* model) {
  constexpr std::string_view kPrefix = "base_model.model.";
  constexpr std::string_view kSuffixA = ".lora_A.weight";
  for (const auto& [name, tensor] : adapter.tensors) {
    if (!name.ends_with(kSuffixA)) continue;
    const std::string module =
        name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffixA.size());
    Linear* linear = model->FindLinear(module);
    linear->lora_a = tensor;
    linear->lora_b = adapter.tensors.find(LoraName(module, false))->second;
    linear->lora_scale = adapter.config.Scale();
    linear->lora_dropout = adapter.config.dropout;
  }
}

NamedTensors RequireGradients(NamedTensors* tensors, FrozenFactor frozen) {
  NamedTensors trained;
  for (auto& [name, tensor] : *tensors) {
    if (Freezes(frozen, name)) continue;
    tensor.requires_grad_(true);
    trained[name] = tensor;
  }
  return trained;
}

}  // namespace tributary::trainer
