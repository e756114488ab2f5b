#include "trainer/frozen_matrix.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tributary::trainer {
namespace {

using at::Tensor;

// More than one block of rows, and columns that do not fill their last scale.
constexpr std::int64_t kRows = 3000;
constexpr std::int64_t kColumns = 700;

std::vector<FrozenMatrix> Matrices() {
  at::manual_seed(1);
  const Tensor weight = at::randn({kRows, kColumns});
  return {{weight, Tensor()},
          {weight.to(at::kHalf), Tensor()},
          {weight.to(at::kBFloat16), Tensor()},
          QuantizeInt8(weight)};
}

// What `product` gives for x, and the gradient of a weighted sum of it.
struct Measured {
  Tensor y;
  Tensor dx;
};
template <typename Product>
Measured Measure(const Tensor& x, const Product& product) {
  const Tensor leaf = x.clone().requires_grad_(true);
  const Tensor y = product(leaf);
  (y * y).sum().backward();
  return {y.detach(), leaf.grad()};
}

void ExpectClose(const Measured& one, const Measured& other) {
  EXPECT_TRUE(at::allclose(one.y, other.y, 1e-10, 1e-10));
  EXPECT_TRUE(at::allclose(one.dx, other.dx, 1e-10, 1e-8));
}

TEST(FrozenMatrixTest, ProductsAndGradientsEqualThoseOfTheWidenedMatrix) {
  for (const FrozenMatrix& matrix : Matrices()) {
    SCOPED_TRACE(matrix.values.toString());
    const Tensor whole = Widen(matrix, at::kDouble);
    const Tensor x = at::randn({5, kColumns}, at::kDouble);
    ExpectClose(Measure(x, [&](const Tensor& in) { return TimesTransposed(in, matrix); }),
                Measure(x, [&](const Tensor& in) { return at::mm(in, whole.t()); }));
    const Tensor z = at::randn({5, kRows}, at::kDouble);
    ExpectClose(Measure(z, [&](const Tensor& in) { return Times(in, matrix); }),
                Measure(z, [&](const Tensor& in) { return at::mm(in, whole); }));
  }
}

TEST(FrozenMatrixTest, HalfPrecisionsComeBackAsTheyAre) {
  const std::vector<FrozenMatrix> matrices = Matrices();
  for (const std::size_t i : {1, 2}) {
    EXPECT_TRUE(at::equal(Widen(matrices[i], at::kFloat), matrices[i].values.to(at::kFloat)));
  }
}

TEST(FrozenMatrixTest, Int8IsWrongByHalfAStepOfItsBlockAtMost) {
  at::manual_seed(2);
  Tensor weight = at::randn({40, 200});
  weight[3][70] = 1000;  // coarsens columns 64 to 127 of its row alone
  const FrozenMatrix matrix = QuantizeInt8(weight);
  const Tensor error = (Widen(matrix, at::kFloat) - weight).abs();
  const Tensor steps = matrix.scales.repeat_interleave(kScaleColumns, 1).slice(1, 0, 200);
  EXPECT_TRUE((error <= steps * 0.5001).all().item<bool>());
  EXPECT_LT(error[3].slice(0, 0, 64).max().item<float>(), 0.02);
  EXPECT_GT(error[3].slice(0, 64, 128).max().item<float>(), 0.5);
}

TEST(FrozenMatrixTest, Int8KeepsZerosAndShowsWhatIsNotFinite) {
  Tensor weight = at::zeros({2, 130});
  EXPECT_TRUE(at::equal(Widen(QuantizeInt8(weight), at::kFloat), weight));
  weight[0][129] = std::numeric_limits<float>::infinity();
  weight[1][0] = std::nanf("");
  weight[1][64] = 1e-45F;
  const Tensor wide = Widen(QuantizeInt8(weight), at::kFloat);
  EXPECT_TRUE(std::isnan(wide[0][129].item<float>()));
  EXPECT_TRUE(std::isnan(wide[1][0].item<float>()));
  EXPECT_EQ(wide[0][0].item<float>(), 0);
  EXPECT_LE(std::abs(wide[1][64].item<float>()), 1e-40F);
}

TEST(FrozenMatrixTest, RowsOfATableAreWidened) {
  const Tensor table = at::randn({6, 3}).to(at::kBFloat16);
  const Tensor indices = at::tensor({4, 0, 4}, at::kLong);
  EXPECT_TRUE(at::equal(TableRows(table, indices), table.to(at::kFloat).index_select(0, indices)));
}

}  // namespace
}  // namespace tributary::trainer
