#include "trainer/kernels.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "trainer/frozen_matrix.h"
#include "trainer/linear.h"
#include "trainer/plain_kernels.h"

namespace tributary::trainer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kRowGrain = 64;  // rows per thread at least
constexpr std::int64_t kElementGrain = 1 << 15;

// Sum over i of f(i), in 16 interleaved partial sums so that the compiler may vectorise it; the
// order is fixed.
template <typename Scalar, typename Term>
Scalar PartialSums(std::int64_t n, const Term& term) {
  constexpr std::int64_t kLanes = 16;
  Scalar lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  Scalar sum = 0;
  for (; i < n; ++i) sum += term(i);
  for (const Scalar lane : lanes) sum += lane;
  return sum;
}

class RmsNormFunction : public Function<RmsNormFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, double eps) {
    Tensor y = at::empty_like(x);
    Tensor inverse = at::empty({x.size(0)}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm", [&] {
      const std::int64_t n = x.size(1);
      const scalar_t* w = weight.data_ptr<scalar_t>();
      const scalar_t* in = x.data_ptr<scalar_t>();
      scalar_t* out = y.data_ptr<scalar_t>();
      scalar_t* inv = inverse.data_ptr<scalar_t>();
      at::parallel_for(0, x.size(0), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const scalar_t* a = in + row * n;
          scalar_t* b = out + row * n;
          const scalar_t squares =
              PartialSums<scalar_t>(n, [a](std::int64_t i) { return a[i] * a[i]; });
          const scalar_t r =
              1 / std::sqrt(squares / static_cast<scalar_t>(n) + static_cast<scalar_t>(eps));
          inv[row] = r;
          for (std::int64_t i = 0; i < n; ++i) b[i] = a[i] * r * w[i];
        }
      });
    });
    ctx->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor& weight = saved[1];
    const Tensor& inverse = saved[2];
    const Tensor dy = grads[0].contiguous();
    Tensor dx;
    if (ctx->needs_input_grad(0)) dx = InputGradient(x, weight, inverse, dy);
    Tensor dw;
    if (ctx->needs_input_grad(1)) dw = (dy * x).mul_(inverse.unsqueeze(1)).sum(0);
    return {dx, dw, Tensor()};
  }

 private:
  // With r = 1/rms: dx = r (w dy) - x r^3 / n * sum(w dy x).
  static Tensor InputGradient(const Tensor& x, const Tensor& weight, const Tensor& inverse,
                              const Tensor& dy) {
    Tensor dx = at::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm_backward", [&] {
      const std::int64_t n = x.size(1);
      const scalar_t* w = weight.data_ptr<scalar_t>();
      const scalar_t* in = x.data_ptr<scalar_t>();
      const scalar_t* inv = inverse.data_ptr<scalar_t>();
      const scalar_t* up = dy.data_ptr<scalar_t>();
      scalar_t* out = dx.data_ptr<scalar_t>();
      at::parallel_for(0, x.size(0), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const scalar_t* a = in + row * n;
          const scalar_t* g = up + row * n;
          scalar_t* d = out + row * n;
          const scalar_t r = inv[row];
          const scalar_t dot =
              PartialSums<scalar_t>(n, [a, g, w](std::int64_t i) { return a[i] * g[i] * w[i]; });
          const scalar_t back = dot * r * r * r / static_cast<scalar_t>(n);
          for (std::int64_t i = 0; i < n; ++i) d[i] = g[i] * w[i] * r - a[i] * back;
        }
      });
    });
    return dx;
  }
};

class SwiGluFunction : public Function<SwiGluFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& gate, const Tensor& up) {
    ctx->save_for_backward({gate, up});
    Tensor out = at::sigmoid(gate);  // vectorised exp; the rest in place
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu", [&] {
      const scalar_t* g = gate.data_ptr<scalar_t>();
      const scalar_t* u = up.data_ptr<scalar_t>();
      scalar_t* o = out.data_ptr<scalar_t>();
      at::parallel_for(0, out.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) o[i] *= g[i] * u[i];
      });
    });
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor& gate = saved[0];
    const Tensor& up = saved[1];
    const Tensor dy = grads[0].contiguous();
    Tensor dgate = at::sigmoid(gate);
    Tensor dup = at::empty_like(up);
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "swiglu_backward", [&] {
      const scalar_t* g = gate.data_ptr<scalar_t>();
      const scalar_t* u = up.data_ptr<scalar_t>();
      const scalar_t* d = dy.data_ptr<scalar_t>();
      scalar_t* dg = dgate.data_ptr<scalar_t>();
      scalar_t* du = dup.data_ptr<scalar_t>();
      at::parallel_for(0, gate.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const scalar_t s = dg[i];
          du[i] = d[i] * g[i] * s;
          dg[i] = d[i] * u[i] * s * (1 + g[i] * (1 - s));
        }
      });
    });
    return {dgate, dup};
  }
};

// Subtracts 1 at each row's target and returns minus the sum of the log-probabilities there, taken
// before. `log_probabilities` becomes softmax - onehot.
double TakeTargets(Tensor* log_probabilities, const Tensor& targets) {
  const Tensor index = targets.unsqueeze(1);
  const double sum = log_probabilities->gather(1, index).sum(at::kDouble).item<double>();
  log_probabilities->exp_();
  log_probabilities->scatter_add_(1, index,
                                  at::full({index.size(0), 1}, -1, log_probabilities->options()));
  return -sum;
}

// The gradients are made while the logits are at hand; backward only scales them.
class LinearCrossEntropyFunction : public Function<LinearCrossEntropyFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& hidden, const Tensor& head,
                        const Tensor& targets, bool hidden_grad, bool head_grad) {
    Tensor dhidden;
    Tensor dhead;
    if (hidden_grad) dhidden = at::empty_like(hidden);
    if (head_grad) dhead = at::zeros_like(head);
    const std::int64_t rows = hidden.size(0);
    double loss = 0;
    // All chunks share one buffer, from logits to gradients.
    const Tensor buffer = at::empty({std::min(rows, kLogitRows), head.size(0)}, hidden.options());
    for (std::int64_t begin = 0; begin < rows; begin += kLogitRows) {
      const std::int64_t end = std::min(rows, begin + kLogitRows);
      const Tensor part = hidden.slice(0, begin, end);
      Tensor scores = buffer.slice(0, 0, end - begin);
      TimesTransposedInto(part, {head, Tensor()}, &scores);
      at::log_softmax_out(scores, scores, 1);
      loss += TakeTargets(&scores, targets.slice(0, begin, end));
      if (hidden_grad) dhidden.slice(0, begin, end).copy_(Times(scores, {head, Tensor()}));
      if (head_grad) dhead.addmm_(scores.t(), part);
    }
    ctx->save_for_backward({dhidden, dhead});
    return at::full({}, loss, hidden.options());
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    variable_list saved = ctx->get_saved_variables();
    for (Tensor& gradient : saved) {
      if (gradient.defined()) gradient = gradient * grads[0];
    }
    return {saved[0], saved[1], Tensor(), Tensor(), Tensor()};
  }
};

class DropoutFunction : public Function<DropoutFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& mask) {
    ctx->save_for_backward({mask});
    return x * mask;
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {grads[0] * ctx->get_saved_variables()[0], Tensor()};
  }
};

// A weight that is trained stays on the CPU in float between passes; others are where x is, in a
// dtype of their own.
Tensor ForPass(const Tensor& x, const Tensor& weight) {
  return weight.requires_grad() || weight.device() != x.device() ? Beside(x, weight) : weight;
}

// W x + b.
Tensor BaseProduct(const Linear& linear, const Tensor& x) {
  const Tensor weight = ForPass(x, linear.weight);
  const Tensor bias = linear.bias.defined() ? Beside(x, linear.bias) : Tensor();
  if (bias.defined() && weight.scalar_type() == x.scalar_type()) {
    return at::addmm(bias, x, linear.transposed ? weight : weight.t());
  }
  const FrozenMatrix matrix{weight, linear.weight_scales};
  const Tensor y = linear.transposed ? Times(x, matrix) : TimesTransposed(x, matrix);
  return bias.defined() ? y + bias : y;
}

}  // namespace

Tensor RmsNorm(const Tensor& x, const Tensor& weight, double eps) {
  if (!HasFusedKernels(x)) return PlainRmsNorm(x, weight, eps);
  return RmsNormFunction::apply(x, weight, eps);
}

Tensor SwiGlu(const Tensor& gate, const Tensor& up) {
  return HasFusedKernels(gate) ? SwiGluFunction::apply(gate, up) : PlainSwiGlu(gate, up);
}

Tensor LinearCrossEntropy(const Tensor& hidden, const Tensor& head, const Tensor& targets) {
  const bool grad = at::GradMode::is_enabled();
  const Tensor near = ForPass(hidden, head);
  return LinearCrossEntropyFunction::apply(hidden, near, targets.to(hidden.device()),
                                           grad && hidden.requires_grad(),
                                           grad && near.requires_grad());
}

Tensor SeededDropout(const Tensor& x, double p, std::uint64_t key) {
  const at::ScalarType dtype = HasFusedKernels(x) ? x.scalar_type() : at::kFloat;
  Tensor mask = at::empty(x.sizes(), dtype);  // drawn on the CPU: the same on every device
  AT_DISPATCH_FLOATING_TYPES(dtype, "dropout", [&] {
    scalar_t* m = mask.data_ptr<scalar_t>();
    const auto keep = static_cast<scalar_t>(1 / (1 - p));
    // A counter-based generator: the mask does not depend on how threads divide the elements.
    at::parallel_for(0, mask.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        SplitMix64 random(key + static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15ULL);
        m[i] = random.Unit() < p ? 0 : keep;
      }
    });
  });
  return DropoutFunction::apply(x, Beside(x, mask));
}

Tensor Linear::Forward(const Tensor& x, const DropoutPass& dropout) const {
  Tensor y = BaseProduct(*this, x);
  if (!lora_a.defined()) return y;
  const bool drop = dropout.active && lora_dropout > 0;
  const Tensor in = drop ? SeededDropout(x, lora_dropout, DeriveSeed(dropout.key, lora_key)) : x;
  Tensor low = at::linear(in, Beside(x, lora_a));
  if (lora_c.defined()) low = at::linear(low, Beside(x, lora_c));
  // In place: the product's gradient does not need its result.
  return y.addmm_(low, Beside(x, lora_b).t(), 1, lora_scale);
}

}  // namespace tributary::trainer
