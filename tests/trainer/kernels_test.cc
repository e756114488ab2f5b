#include "trainer/kernels.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace tributary::trainer {
namespace {

TEST(KernelsTest, CrossEntropyOverSeveralChunksEqualsTheDirectFormula) {
  at::manual_seed(1);
  const at::Tensor hidden = at::randn({600, 5}, at::kDouble).requires_grad_(true);
  const at::Tensor head = at::randn({7, 5}, at::kDouble).requires_grad_(true);
  const at::Tensor targets = at::randint(7, {600}, at::kLong);
  const at::Tensor loss = LinearCrossEntropy(hidden, head, targets);
  loss.backward();
  const at::Tensor fused_hidden = hidden.grad().clone();
  const at::Tensor fused_head = head.grad().clone();
  hidden.mutable_grad() = at::Tensor();
  head.mutable_grad() = at::Tensor();
  const at::Tensor direct =
      -at::log_softmax(at::mm(hidden, head.t()), 1).gather(1, targets.unsqueeze(1)).sum();
  direct.backward();
  EXPECT_NEAR(loss.item<double>(), direct.item<double>(), 1e-9);
  EXPECT_TRUE(at::allclose(fused_hidden, hidden.grad(), 1e-10, 1e-12));
  EXPECT_TRUE(at::allclose(fused_head, head.grad(), 1e-10, 1e-12));
}

TEST(KernelsTest, DropoutKeepsTheMeanAndDependsOnTheKeyAlone) {
  const at::Tensor x = at::ones({100, 1000});
  const at::Tensor a = SeededDropout(x, 0.25, 5);
  EXPECT_TRUE(at::equal(a, SeededDropout(x, 0.25, 5)));
  EXPECT_FALSE(at::equal(a, SeededDropout(x, 0.25, 6)));
  EXPECT_NEAR((a == 0).to(at::kDouble).mean().item<double>(), 0.25, 0.01);
  EXPECT_NEAR(a.mean().item<double>(), 1.0, 0.01);
}

TEST(KernelsTest, RmsNormOfAUnitRowIsItsWeight) {
  const at::Tensor y =
      RmsNorm(at::ones({2, 4}, at::kDouble), at::tensor({1.0, 2.0, 3.0, 4.0}, at::kDouble), 1e-12);
  EXPECT_TRUE(at::allclose(y[1], at::tensor({1.0, 2.0, 3.0, 4.0}, at::kDouble)));
}

}  // namespace
}  // namespace tributary::trainer
