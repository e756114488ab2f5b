// The linear layers of a model, made from its shape, and found by name.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/model_shape.h"
#include "core/status.h"
#include "trainer/linear.h"
#include "trainer/weights.h"

namespace tributary::trainer {

// Checks the names and shapes of the weights that `shape` needs; more tensors are fine.
Status CheckModelWeights(const ModelShape& shape, const NamedTensors& weights);

// Layers keep their addresses, also when this is moved. Not thread-safe.
class LinearLayers {
 public:
  // `weights` have passed CheckModelWeights; the layers share them.
  LinearLayers(const ModelShape& shape, const NamedTensors& weights);

  Linear* Find(std::string_view name);  // null when there is none
  const Linear* At(const std::string& name) const { return &layers_.at(name); }

 private:
  std::map<std::string, Linear, std::less<>> layers_;
};

}  // namespace tributary::trainer
