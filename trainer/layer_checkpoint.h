// Gradient checkpointing (arXiv:1604.06174): a layer keeps its input alone, and is computed again
// when its gradient is wanted.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace tributary::trainer {

// A layer as a function of its input. Equal inputs give equal bits, dropout included.
using LayerFunction = std::function<at::Tensor(const at::Tensor&)>;

// layer(x). With `recompute` only x and what `layer` holds stay until the gradient is made; what
// `layer` refers to must live until then. On a CPU gradients are the same bits.
at::Tensor RunLayer(const at::Tensor& x, bool recompute, const LayerFunction& layer);

}  // namespace tributary::trainer
