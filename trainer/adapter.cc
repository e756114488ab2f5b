#include "trainer/adapter.h"

#include <ATen/ATen.h>

#include "core/adapter_files.h"
#include "core/files.h"

namespace tributary::trainer {

Result<Adapter> LoadAdapter(const std::string& directory, const ModelShape& shape,
                            at::ScalarType dtype) {
  Adapter adapter;
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.config_text,
                             ReadFile(JoinPath(directory, kAdapterConfigFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.config, AdapterConfig::FromPeftJson(adapter.config_text));
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.layout,
                             LayOutAdapter(adapter.config, shape).Annotate(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const Manifest expected, AdapterManifest(adapter.config, shape));
  TRIBUTARY_RETURN_IF_ERROR(CheckAdapterWeights(directory));
  const std::string path = JoinPath(directory, kAdapterWeightsFile);
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.tensors, LoadWeights(path, dtype));
  TRIBUTARY_RETURN_IF_ERROR(CheckManifest(expected, ManifestOf(adapter.tensors)).Annotate(path));
  for (auto& [name, tensor] : adapter.tensors) tensor = tensor.clone();
  return adapter;
}

void ReplaceSavedModules(const Adapter& adapter, const ModelShape& shape, NamedTensors* base) {
  const std::vector<ModelModule>& saved = adapter.layout.saved;
  const std::string head = shape.Modules().back().name + ".weight";
  for (const ModelModule& module : saved) {
    const std::string weight = module.name + ".weight";
    const auto tied = base->find(weight);
    if (shape.tied_embeddings && module.name == shape.Modules().front().name) {
      base->try_emplace(head, tied->second);
    }
    (*base)[weight] = adapter.tensors.find(SavedName(weight))->second;
    const std::string bias = module.name + ".bias";
    if (module.bias) (*base)[bias] = adapter.tensors.find(SavedName(bias))->second;
  }
}

void AttachLora(const Adapter& adapter, LanguageModel* model) {
  for (const auto& [module, rank, scale] : adapter.layout.pairs) {
    Linear* linear = model->FindLinear(module.name);
    linear->lora_a = adapter.tensors.find(LoraName(module.name, true))->second;
    linear->lora_b = adapter.tensors.find(LoraName(module.name, false))->second;
    if (adapter.config.middle) {
      linear->lora_c = adapter.tensors.find(MiddleName(module.name))->second;
    }
    linear->lora_scale = scale;
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
