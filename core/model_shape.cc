#include "core/model_shape.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/architecture.h"
#include "core/json_members.h"
#include "core/text.h"

namespace tributary {
namespace {

constexpr Architecture kArchitectures[] = {
    {"gpt2", "GPT2LMHeadModel", "transformer.", ReadGpt2, Gpt2Modules},
    {"llama", "LlamaForCausalLM", "model.", ReadLlama, LlamaModules},
    {"mistral", "MistralForCausalLM", "model.", ReadMistral, LlamaModules},
    {"qwen2", "Qwen2ForCausalLM", "model.", ReadQwen2, LlamaModules},
    {"qwen3", "Qwen3ForCausalLM", "model.", ReadQwen3, LlamaModules},
};

const Architecture* Find(std::string_view model_type) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.model_type == model_type) return &architecture;
  }
  return nullptr;
}

const Architecture& Of(const ModelShape& shape) {
  const Architecture* found = Find(shape.model_type);
  if (found == nullptr) std::abort();  // no shape is made with another name
  return *found;
}

}  // namespace

bool HasValue(JsonObjectReader& config, std::string_view key) {
  return config.Has(key) && !config.Raw(key).is_null();
}

std::string SupportedModelTypes() {
  std::string text;
  for (const Architecture& architecture : kArchitectures) {
    text += (text.empty() ? "" : ", ") + std::string(architecture.model_type);
  }
  return text;
}

std::vector<std::int64_t> ModelModule::WeightShape() const {
  if (kind == ModuleKind::kNorm) return {out};
  return transposed ? std::vector{in, out} : std::vector{out, in};
}

ModelShape ModelShape::Read(JsonObjectReader& config) {
  ModelShape shape;
  const std::string type = config.String("model_type");
  const Architecture* architecture = Find(type);
  if (architecture == nullptr) {
    config.Problem("model_type", "\"" + Excerpt(type) +
                                     "\" is not supported; supported: " + SupportedModelTypes());
    return shape;
  }
  shape.model_type = type;
  architecture->read(config, &shape);
  return shape;
}

Result<ModelShape> ModelShape::FromConfigJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJsonMembers(text, "config.json"));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, "config.json", &problems);
  if (problems.empty()) {
    ModelShape shape = Read(reader);
    if (problems.empty()) return shape;
  }
  return ProblemsToStatus(problems);
}

std::vector<ModelModule> ModelShape::Modules() const { return Of(*this).modules(*this); }

std::vector<ModelModule> ModelShape::LinearModules() const {
  std::vector<ModelModule> modules = Modules();
  std::erase_if(modules, [](const ModelModule& m) { return m.kind != ModuleKind::kLinear; });
  return modules;
}

Manifest ModelShape::AllWeights() const {
  Manifest manifest;
  for (const ModelModule& module : Modules()) {
    if (module.kind == ModuleKind::kHead && tied_embeddings) continue;
    manifest.push_back({module.name + ".weight", DType::kF32, module.WeightShape()});
    if (module.bias) manifest.push_back({module.name + ".bias", DType::kF32, {module.out}});
  }
  std::sort(manifest.begin(), manifest.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  return manifest;
}

std::string_view ModelShape::BasePrefix() const { return Of(*this).base_prefix; }
std::string_view ModelShape::ClassName() const { return Of(*this).class_name; }

}  // namespace tributary
