#include "trainer/layer_checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace tributary::trainer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct Recipe : torch::CustomClassHolder {
  explicit Recipe(LayerFunction function) : layer(std::move(function)) {}
  LayerFunction layer;
};

// `trainable` requires a gradient, so that there is one also where only the layer's own tensors
// do.
class RecomputedLayer : public Function<RecomputedLayer> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& /*trainable*/,
                        const Tensor& y, const LayerFunction& layer) {
    ctx->save_for_backward({x});
    ctx->saved_data["recipe"] = c10::IValue::make_capsule(c10::make_intrusive<Recipe>(layer));
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto capsule = ctx->saved_data["recipe"].toCapsule();
    const auto& recipe = static_cast<const Recipe&>(*capsule);
    const Tensor x =
        ctx->get_saved_variables()[0].detach().requires_grad_(ctx->needs_input_grad(0));
    const at::AutoGradMode with_graph(true);
    torch::autograd::backward({recipe.layer(x)}, grads);
    return {x.grad(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor RunLayer(const Tensor& x, bool recompute, const LayerFunction& layer) {
  const Tensor y = layer(x);
  // Where nothing wants a gradient, nothing was kept.
  if (!recompute || !y.requires_grad()) return y;
  return RecomputedLayer::apply(x, at::empty({0}, x.options()).requires_grad_(true), y.detach(),
                                layer);
}

}  // namespace tributary::trainer
