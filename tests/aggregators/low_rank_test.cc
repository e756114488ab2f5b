#include "aggregators/low_rank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/aggregators/lora/dense.h"

namespace tributary::aggregators {
namespace {

using testing::HasSubstr;

Matrix Dense(const SingularTriplets& t) {
  Matrix product = Matrix::Zero(t.out, t.in);
  for (std::int64_t j = 0; j < t.rank(); ++j) {
    for (std::int64_t i = 0; i < t.out; ++i) {
      for (std::int64_t k = 0; k < t.in; ++k) {
        product(i, k) += t.sigma[static_cast<std::size_t>(j)] *
                         t.u[static_cast<std::size_t>(j * t.out + i)] *
                         t.v[static_cast<std::size_t>(j * t.in + k)];
      }
    }
  }
  return product;
}

// Columns of u or v, as a matrix of that many rows.
Matrix Columns(const std::vector<double>& values, std::int64_t rows) {
  return Matrix{static_cast<std::int64_t>(values.size()) / rows, rows, values}.Transposed();
}

struct Sum {
  StackedProduct stacked;
  Matrix dense;
};

Sum RandomSum(std::int64_t out, std::int64_t in, const std::vector<std::int64_t>& ranks) {
  Sum sum{StackedProduct(out, in), Matrix::Zero(out, in)};
  for (std::size_t k = 0; k < ranks.size(); ++k) {
    const double weight = 0.1 * static_cast<double>(k + 1);
    const Factors factors = RandomFactors(ranks[k], out, in, k + 1);
    sum.stacked.Add(factors.View(), weight);
    sum.dense += weight * Product(factors);
  }
  return sum;
}

TEST(StackedProductTest, UsesEachWeightOnce) {
  const Sum sum = RandomSum(7, 5, {2, 1, 3});
  EXPECT_EQ(sum.stacked.rank(), 6);
  EXPECT_LT((Product(sum.stacked.ToFactors()) - sum.dense).Norm(), 1e-6);
}

TEST(StackedProductTest, SvdIsThatOfTheDenseMatrix) {
  const Sum sum = RandomSum(24, 17, {2, 4, 5});
  const auto svd = sum.stacked.Svd(100);
  ASSERT_TRUE(svd.ok()) << svd.status();
  ASSERT_EQ(svd->rank(), 11);
  const std::vector<double> expected = SingularValues(sum.dense);
  for (std::size_t j = 0; j < 11; ++j) EXPECT_NEAR(svd->sigma[j], expected[j], 1e-12) << j;
  EXPECT_LT((Dense(*svd) - sum.dense).Norm(), 1e-12 * sum.dense.Norm());
  const Matrix u = Columns(svd->u, 24), v = Columns(svd->v, 17);
  EXPECT_LT((u.Transposed() * u - Matrix::Identity(11)).Norm(), 1e-13);
  EXPECT_LT((v.Transposed() * v - Matrix::Identity(11)).Norm(), 1e-13);
  EXPECT_EQ(svd->dropped_energy, 0);
}

TEST(StackedProductTest, TruncationIsTheBestApproximation) {  // Eckart-Young
  const Sum sum = RandomSum(20, 30, {4, 4, 4});
  const auto svd = sum.stacked.Svd(5);
  ASSERT_TRUE(svd.ok());
  const std::vector<double> sigma = SingularValues(sum.dense.Transposed());
  double dropped = 0;
  for (std::size_t j = 5; j < sigma.size(); ++j) dropped += sigma[j] * sigma[j];
  EXPECT_NEAR(svd->dropped_energy, dropped, 1e-12 * dropped);
  EXPECT_NEAR((Dense(*svd) - sum.dense).Norm(), std::sqrt(dropped), 1e-12);
}

TEST(StackedProductTest, MoreRanksThanADimension) {
  for (const auto& [out, in] : {std::pair{6, 40}, {40, 6}, {5, 4}}) {
    const Sum sum = RandomSum(out, in, {8, 8, 8});
    const auto svd = sum.stacked.Svd(100);
    ASSERT_TRUE(svd.ok());
    EXPECT_EQ(svd->rank(), std::min(out, in));
    EXPECT_LT((Dense(*svd) - sum.dense).Norm(), 1e-12 * sum.dense.Norm());
  }
}

TEST(StackedProductTest, ParallelAndZeroColumnsAreARankDeficiencyAndNoProblem) {
  const Factors factors = RandomFactors(3, 12, 9, 1);
  StackedProduct product(12, 9);
  product.Add(factors.View(), 0.25);
  product.Add(factors.View(), 0.5);
  Factors silent = RandomFactors(2, 12, 9, 2);
  std::fill(silent.b.begin(), silent.b.end(), 0.0F);
  product.Add(silent.View(), 1);
  const auto svd = product.Svd(8);
  ASSERT_TRUE(svd.ok());
  EXPECT_EQ(svd->NumericalRank(1e-12), 3);
  EXPECT_LT((Dense(*svd) - 0.75 * Product(factors)).Norm(), 1e-13);
  const Matrix v = Columns(svd->v, 9);
  EXPECT_LT((v.Transposed() * v - Matrix::Identity(v.cols)).Norm(), 1e-13);
}

TEST(StackedProductTest, NearlyParallelSitesKeepTheirSmallDifferences) {
  const Factors one = RandomFactors(2, 64, 48, 1);
  Factors two = one;
  two.a[5] += 1e-4F;
  StackedProduct difference(64, 48);
  difference.Add(one.View(), -1);
  difference.Add(two.View(), 1);
  const auto svd = difference.Svd(1);
  ASSERT_TRUE(svd.ok());
  const Matrix expected = Product(two) - Product(one);
  EXPECT_NEAR(svd->sigma[0], expected.Norm(), 1e-12);
}

TEST(StackedProductTest, SignsAreFixed) {
  const Sum sum = RandomSum(10, 8, {4});
  StackedProduct negated(10, 8);
  Factors factors = RandomFactors(4, 10, 8, 1);  // the first of the sum
  for (float& value : factors.a) value = -value;
  for (float& value : factors.b) value = -value;
  negated.Add(factors.View(), 0.1);
  const auto svd = sum.stacked.Svd(4);
  const auto other = negated.Svd(4);
  ASSERT_TRUE(svd.ok() && other.ok());
  for (std::size_t i = 0; i < svd->u.size(); ++i) EXPECT_NEAR(svd->u[i], other->u[i], 1e-12);
  for (std::int64_t j = 0; j < 4; ++j) {
    const auto* column = svd->u.data() + j * 10;
    const auto* largest = std::max_element(
        column, column + 10, [](double x, double y) { return std::abs(x) < std::abs(y); });
    EXPECT_GT(*largest, 0);
  }
}

TEST(StackedProductTest, SameInputSameBits) {
  const auto one = RandomSum(33, 21, {3, 5, 7}).stacked.Svd(6);
  const auto two = RandomSum(33, 21, {3, 5, 7}).stacked.Svd(6);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->sigma, two->sigma);
  EXPECT_EQ(one->u, two->u);
  EXPECT_EQ(one->v, two->v);
}

TEST(StackedProductTest, NothingIsAProductOfRankZero) {
  const auto svd = StackedProduct(4, 3).Svd(2);
  ASSERT_TRUE(svd.ok());
  EXPECT_EQ(svd->rank(), 0);
  const Factors current = RandomFactors(2, 4, 3, 1);
  const Factors next = NextFactors(*svd, Split::kSymmetric, 1, current.View());
  EXPECT_EQ(next.a, current.a);  // trainable again
  EXPECT_EQ(Product(next).Norm(), 0);
}

TEST(StackedProductTest, LeavesOutRanksThatAreNothing) {
  Factors factors = RandomFactors(3, 5, 4, 1);
  for (std::size_t i = 0; i < 5; ++i) factors.b[i * 3 + 1] = 0;
  StackedProduct product(5, 4);
  product.AddLive(factors.View(), 2);
  EXPECT_EQ(product.rank(), 2);
  EXPECT_LT((Product(product.ToFactors()) - 2 * Product(factors)).Norm(), 1e-6);
}

TEST(StackedProductTest, RefusesWhatIsNotFinite) {
  Factors factors = RandomFactors(2, 4, 4, 1);
  factors.a[3] = std::numeric_limits<float>::quiet_NaN();
  StackedProduct product(4, 4);
  product.Add(factors.View(), 1);
  const auto svd = product.Svd(2);
  EXPECT_EQ(svd.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(svd.status().message(), HasSubstr("not finite"));
}

TEST(SplitTest, EveryRuleGivesTheProductOverTheScale) {
  const Sum sum = RandomSum(15, 11, {3});
  const auto svd = sum.stacked.Svd(3);
  ASSERT_TRUE(svd.ok());
  for (const Split split : {Split::kSymmetric, Split::kLeft, Split::kRight}) {
    const Factors factors = SplitTriplets(*svd, 0, 3, split, 4);
    EXPECT_LT((4 * Product(factors) - sum.dense).Norm(), 1e-6);
  }
}

TEST(SplitTest, LeftHasOrthonormalRowsAndSymmetricSharesAlike) {
  const auto svd = RandomSum(15, 11, {3}).stacked.Svd(3);
  ASSERT_TRUE(svd.ok());
  const Matrix left = DenseA(SplitTriplets(*svd, 0, 3, Split::kLeft, 2).View());
  EXPECT_LT((left * left.Transposed() - Matrix::Identity(3)).Norm(), 1e-6);
  const Factors even = SplitTriplets(*svd, 0, 3, Split::kSymmetric, 2);
  EXPECT_NEAR(DenseA(even.View()).Norm(), DenseB(even.View()).Norm(), 1e-5);
}

TEST(SplitTest, ARankThatCarriesNothingStaysTrainable) {
  StackedProduct product(9, 8);
  product.Add(RandomFactors(2, 9, 8, 1).View(), 1);
  const auto svd = product.Svd(4);
  ASSERT_TRUE(svd.ok());
  const Factors current = RandomFactors(4, 9, 8, 5);
  const Factors next = NextFactors(*svd, Split::kSymmetric, 1, current.View());
  ASSERT_EQ(next.rank, 4);
  for (std::size_t i = 2 * 8; i < 4 * 8; ++i) EXPECT_EQ(next.a[i], current.a[i]);
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(next.b[i * 4 + 3], 0);
}

}  // namespace
}  // namespace tributary::aggregators
