#include "trainer/adapter.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/adapter_files.h"
#include "core/files.h"

namespace tributary::trainer {
namespace {

// Embeddings and head that stand beside the factors, as PEFT saves them (save_embedding_layers):
// they take the place of the model's, as when PEFT loads them. Where the head is tied, one is both.
void TakeEmbeddings(const ModelShape& shape, Adapter* adapter, Manifest* expected) {
  if (adapter->config.kind == AdapterKind::kFull) return;
  const std::vector<ModelModule> modules = shape.Modules();
  const ModelModule& embedding = modules.front();
  const ModelModule& head = modules.back();
  const auto name = [](const ModelModule& module) { return SavedName(module.name + ".weight"); };
  const auto is_extra = [&](const ModelModule& module) {
    const auto same = [&](const TensorSpec& spec) { return spec.name == name(module); };
    return adapter->tensors.contains(name(module)) &&
           std::none_of(expected->begin(), expected->end(), same);
  };
  const bool first = is_extra(embedding);
  const bool last = is_extra(head);
  if (shape.tied_embeddings && first != last) {
    const std::string there = name(first ? embedding : head);
    adapter->tensors[name(first ? head : embedding)] = adapter->tensors[there];
  }
  for (const ModelModule* module : {&embedding, &head}) {
    if (!is_extra(*module)) continue;
    adapter->layout.saved.push_back(*module);
    expected->push_back({name(*module), DType::kF32, module->WeightShape()});
  }
  std::sort(expected->begin(), expected->end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
}

}  // namespace

Result<Adapter> LoadAdapter(const std::string& directory, const ModelShape& shape,
                            at::ScalarType dtype) {
  Adapter adapter;
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.config_text,
                             ReadFile(JoinPath(directory, kAdapterConfigFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.config,
                             AdapterConfig::FromPeftJson(adapter.config_text)
                                 .Annotate(JoinPath(directory, kAdapterConfigFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.layout,
                             LayOutAdapter(adapter.config, shape).Annotate(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(Manifest expected, AdapterManifest(adapter.config, shape));
  TRIBUTARY_RETURN_IF_ERROR(CheckAdapterWeights(directory));
  const std::string path = JoinPath(directory, kAdapterWeightsFile);
  TRIBUTARY_ASSIGN_OR_RETURN(adapter.tensors, LoadWeights(path, dtype));
  TakeEmbeddings(shape, &adapter, &expected);
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
