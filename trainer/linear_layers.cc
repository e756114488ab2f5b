#include "trainer/linear_layers.h"

#include <ATen/ATen.h>

#include "core/random.h"
#include "trainer/base_weights.h"

namespace tributary::trainer {

Status CheckModelWeights(const ModelShape& shape, const NamedTensors& weights) {
  const Manifest needed = shape.AllWeights();
  Manifest present;
  for (const TensorSpec& spec : needed) {
    const auto it = weights.find(spec.name);
    if (it != weights.end()) present.push_back({spec.name, DType::kF32, it->second.sizes().vec()});
  }
  return CheckManifest(needed, present);
}

LinearLayers::LinearLayers(const ModelShape& shape, const NamedTensors& weights) {
  for (const ModelModule& module : shape.LinearModules()) {
    Linear& linear = layers_[module.name];
    linear.weight = weights.find(module.name + ".weight")->second;
    const auto scales = weights.find(module.name + ".weight" + std::string(kScalesSuffix));
    if (linear.weight.scalar_type() == at::kChar) linear.weight_scales = scales->second;
    if (module.bias) linear.bias = weights.find(module.name + ".bias")->second;
    linear.transposed = module.transposed;
    linear.lora_key = HashName(module.name);
  }
}

Linear* LinearLayers::Find(std::string_view name) {
  const auto it = layers_.find(name);
  return it == layers_.end() ? nullptr : &it->second;
}

}  // namespace tributary::trainer
