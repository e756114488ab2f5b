#include "trainer/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

namespace tributary::trainer {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

struct AdamFactors {
  double beta1;
  double beta2;
  double epsilon;
  double keep;              // 1 - learning rate * weight decay
  double rate;              // learning rate / (1 - beta1^t)
  double inverse_variance;  // 1 / (1 - beta2^t)
};

template <typename Scalar>
void AdamLoop(const AdamFactors& f, const Scalar* gradient, Scalar* parameter, Scalar* mean,
              Scalar* variance, std::int64_t n) {
  const auto beta1 = static_cast<Scalar>(f.beta1);
  const auto beta2 = static_cast<Scalar>(f.beta2);
  const auto epsilon = static_cast<Scalar>(f.epsilon);
  const auto keep = static_cast<Scalar>(f.keep);
  const auto rate = static_cast<Scalar>(f.rate);
  const auto inverse = static_cast<Scalar>(f.inverse_variance);
  at::parallel_for(0, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Scalar g = gradient[i];
      mean[i] = beta1 * mean[i] + (1 - beta1) * g;
      variance[i] = beta2 * variance[i] + (1 - beta2) * g * g;
      parameter[i] =
          keep * parameter[i] - rate * mean[i] / (std::sqrt(variance[i] * inverse) + epsilon);
    }
  });
}

Status CopyState(const NamedTensors& state, const std::string& name, at::Tensor* to) {
  const auto it = state.find(name);
  if (it == state.end() || it->second.sizes() != to->sizes()) {
    return InvalidArgumentError("optimizer state has no tensor " + name + " of its shape");
  }
  to->copy_(it->second);
  return OkStatus();
}

class AdamW final : public Optimizer {
 public:
  AdamW(const NamedTensors& parameters, const TrainingSettings& settings) : settings_(settings) {
    for (const auto& [name, parameter] : parameters) {
      slots_.push_back({name, parameter, at::zeros_like(parameter), at::zeros_like(parameter)});
    }
  }
  void Step(double learning_rate) override;
  NamedTensors State() const override {
    NamedTensors state = {{"steps", steps_.clone()}};
    for (const Slot& slot : slots_) {
      state["mean." + slot.name] = slot.mean;
      state["variance." + slot.name] = slot.variance;
    }
    return state;
  }
  Status Restore(const NamedTensors& state) override {
    TRIBUTARY_RETURN_IF_ERROR(CopyState(state, "steps", &steps_));
    for (Slot& slot : slots_) {
      TRIBUTARY_RETURN_IF_ERROR(CopyState(state, "mean." + slot.name, &slot.mean));
      TRIBUTARY_RETURN_IF_ERROR(CopyState(state, "variance." + slot.name, &slot.variance));
    }
    return OkStatus();
  }

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter;
    at::Tensor mean;
    at::Tensor variance;
  };
  std::vector<Slot> slots_;
  const TrainingSettings settings_;
  at::Tensor steps_ = at::zeros({1}, at::kDouble);
};

void AdamW::Step(double learning_rate) {
  steps_.add_(1);
  const double t = steps_.item<double>();
  AdamFactors factors{settings_.beta1,
                      settings_.beta2,
                      settings_.epsilon,
                      1,
                      learning_rate / (1 - std::pow(settings_.beta1, t)),
                      1 / (1 - std::pow(settings_.beta2, t))};
  for (Slot& slot : slots_) {
    const at::Tensor gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    factors.keep = slot.parameter.dim() > 1 ? 1 - learning_rate * settings_.weight_decay : 1;
    AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "adamw", [&] {
      AdamLoop(factors, gradient.contiguous().data_ptr<scalar_t>(),
               slot.parameter.data_ptr<scalar_t>(), slot.mean.data_ptr<scalar_t>(),
               slot.variance.data_ptr<scalar_t>(), gradient.numel());
    });
    slot.parameter.mutable_grad() = at::Tensor();
  }
}

class Sgd final : public Optimizer {
 public:
  Sgd(const NamedTensors& parameters, const TrainingSettings& settings) : settings_(settings) {
    for (const auto& [name, parameter] : parameters) {
      slots_.push_back({name, parameter, at::zeros_like(parameter)});
    }
  }
  void Step(double learning_rate) override {
    const at::NoGradGuard no_grad;
    for (Slot& slot : slots_) {
      const at::Tensor gradient = slot.parameter.grad();
      if (!gradient.defined()) continue;
      slot.velocity.mul_(settings_.momentum).add_(gradient);
      if (slot.parameter.dim() > 1 && settings_.weight_decay > 0) {
        slot.parameter.mul_(1 - learning_rate * settings_.weight_decay);
      }
      slot.parameter.sub_(slot.velocity, learning_rate);
      slot.parameter.mutable_grad() = at::Tensor();
    }
  }
  NamedTensors State() const override {
    NamedTensors state;
    for (const Slot& slot : slots_) state["velocity." + slot.name] = slot.velocity;
    return state;
  }
  Status Restore(const NamedTensors& state) override {
    for (Slot& slot : slots_) {
      TRIBUTARY_RETURN_IF_ERROR(CopyState(state, "velocity." + slot.name, &slot.velocity));
    }
    return OkStatus();
  }

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter;
    at::Tensor velocity;
  };
  std::vector<Slot> slots_;
  const TrainingSettings settings_;
};

}  // namespace

double LearningRate(const TrainingSettings& settings, std::int64_t step) {
  const double peak = settings.learning_rate * settings.learning_rate_scale;
  if (step < settings.warmup_steps) {
    return peak * static_cast<double>(step + 1) / static_cast<double>(settings.warmup_steps);
  }
  if (settings.schedule == "constant") return peak;
  const auto length =
      static_cast<double>(std::max<std::int64_t>(1, settings.steps - settings.warmup_steps));
  const double progress = static_cast<double>(step - settings.warmup_steps) / length;
  return peak * 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, progress)));
}

double ClipGradients(const NamedTensors& parameters, double max_norm) {
  double squares = 0;
  for (const auto& [name, parameter] : parameters) {
    if (!parameter.grad().defined()) continue;
    const double norm = parameter.grad().norm(2, at::kDouble).item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  if (max_norm > 0 && norm > max_norm) {
    for (const auto& [name, parameter] : parameters) {
      if (parameter.grad().defined()) parameter.mutable_grad().mul_(max_norm / norm);
    }
  }
  return norm;
}

std::unique_ptr<Optimizer> MakeOptimizer(const NamedTensors& parameters,
                                         const TrainingSettings& settings) {
  if (settings.optimizer == "sgd") return std::make_unique<Sgd>(parameters, settings);
  return std::make_unique<AdamW>(parameters, settings);
}

}  // namespace tributary::trainer
