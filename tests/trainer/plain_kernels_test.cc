#include "trainer/plain_kernels.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trainer/device.h"
#include "trainer/kernels.h"
#include "trainer/rope.h"

namespace tributary::trainer {
namespace {

using at::Tensor;

// What an operation gives for its inputs, and the gradients of a weighted sum of it.
using Operation = std::function<Tensor(const std::vector<Tensor>&)>;
std::vector<Tensor> ResultAndGradients(const std::vector<Tensor>& inputs,
                                       const Operation& operation) {
  std::vector<Tensor> leaves;
  for (const Tensor& input : inputs) leaves.push_back(input.clone().requires_grad_(true));
  const Tensor y = operation(leaves);
  const Tensor weights = at::arange(y.numel(), y.options()).view_as(y).sin();
  (y * weights).sum().backward();
  std::vector<Tensor> outcome = {y.detach()};
  for (const Tensor& leaf : leaves) outcome.push_back(leaf.grad());
  return outcome;
}

void ExpectClose(const std::vector<Tensor>& one, const std::vector<Tensor>& other) {
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(at::allclose(one[i], other[i], 1e-5, 1e-5)) << i;
  }
}

TEST(PlainKernelsTest, RmsNormEqualsTheFusedOne) {
  at::manual_seed(1);
  const std::vector<Tensor> inputs = {at::randn({70, 33}), at::randn({33})};
  ExpectClose(
      ResultAndGradients(inputs, [](const auto& in) { return PlainRmsNorm(in[0], in[1], 1e-5); }),
      ResultAndGradients(inputs, [](const auto& in) { return RmsNorm(in[0], in[1], 1e-5); }));
}

TEST(PlainKernelsTest, SwiGluEqualsTheFusedOne) {
  at::manual_seed(2);
  const std::vector<Tensor> inputs = {at::randn({7, 33}), at::randn({7, 33})};
  ExpectClose(ResultAndGradients(inputs, [](const auto& in) { return PlainSwiGlu(in[0], in[1]); }),
              ResultAndGradients(inputs, [](const auto& in) { return SwiGlu(in[0], in[1]); }));
}

TEST(PlainKernelsTest, AttentionEqualsTheFusedOne) {
  at::manual_seed(3);
  // Within one block of rows, exactly one, several and a rest.
  const std::vector<std::int64_t> starts = {0, 11, 12, 76, 276};
  for (const std::int64_t window : {0, 1, 5, 70, 1000}) {
    for (const bool rotates : {true, false}) {
      SCOPED_TRACE(window);
      const AttentionShape shape{6, 2, 8, window};
      const std::vector<Tensor> inputs = {at::randn({276, 48}), at::randn({276, 16}),
                                          at::randn({276, 16})};
      RotaryTable table;
      if (rotates) table = MakeRotaryTable(0, 200, RotaryFrequencies(8, 100, {}), at::kFloat);
      ExpectClose(ResultAndGradients(inputs,
                                     [&](const auto& in) {
                                       return PlainCausalAttention(in[0], in[1], in[2], table,
                                                                   starts, shape);
                                     }),
                  ResultAndGradients(inputs, [&](const auto& in) {
                    return CausalAttention(in[0], in[1], in[2], table, starts, shape);
                  }));
    }
  }
}

// Half the digits of bf16: what the operations give for rounded inputs, rounded.
TEST(PlainKernelsTest, Bf16TakesThePlainWay) {
  at::manual_seed(4);
  const Tensor x = at::randn({20, 32}).to(at::kBFloat16);
  const Tensor weight = at::randn({32});
  const auto near = [](const Tensor& narrow, const Tensor& exact) {
    return narrow.scalar_type() == at::kBFloat16 &&
           at::allclose(narrow.to(at::kFloat), exact, 2e-2, 2e-2);
  };
  EXPECT_TRUE(near(RmsNorm(x, weight, 1e-5), RmsNorm(x.to(at::kFloat), weight, 1e-5)));
  EXPECT_TRUE(near(SwiGlu(x, x), SwiGlu(x.to(at::kFloat), x.to(at::kFloat))));
  const AttentionShape shape{4, 4, 8, 0};
  const std::vector<std::int64_t> starts = {0, 20};
  const Tensor wide = x.to(at::kFloat);
  EXPECT_TRUE(near(CausalAttention(x, x, x, {}, starts, shape),
                   CausalAttention(wide, wide, wide, {}, starts, shape)));
  EXPECT_TRUE(at::equal(SeededDropout(x, 0.5, 3), SeededDropout(wide, 0.5, 3).to(at::kBFloat16)));
}

TEST(DeviceTest, CudaIsRefusedWhereThereIsNone) {
  EXPECT_EQ(*ChooseDevice("cpu", 3), at::Device(at::kCPU));
  EXPECT_THAT(ChooseDevice("tpu", 0).status().message(), testing::HasSubstr("known: auto, cpu"));
  if (DevicesText() != "cpu") GTEST_SKIP() << "this machine has CUDA devices";
  EXPECT_EQ(*ChooseDevice("auto", 0), at::Device(at::kCPU));
  EXPECT_THAT(ChooseDevice("cuda", 0).status().message(),
              testing::HasSubstr("finds no CUDA device"));
  setenv("TRIBUTARY_GPUS", "4", 1);
  const Status none = ChooseDevice("auto", 0).status();
  EXPECT_EQ(none.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(none.message(), testing::HasSubstr("the job was given 4 GPUs on each node"));
  EXPECT_TRUE(ChooseDevice("cpu", 0).ok()) << "who names the CPU gets it";
  setenv("TRIBUTARY_GPUS", "0", 1);
  EXPECT_TRUE(ChooseDevice("auto", 0).ok());
  unsetenv("TRIBUTARY_GPUS");
  EXPECT_THAT(DeviceName(at::kCPU), testing::StartsWith("cpu"));
  EXPECT_GT(PeakMemory(), 1 << 20);
}

}  // namespace
}  // namespace tributary::trainer
