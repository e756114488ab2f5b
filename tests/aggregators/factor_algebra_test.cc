#include "aggregators/factor_algebra.h"

#include <gtest/gtest.h>

#include "tests/aggregators/lora/dense.h"

namespace tributary::aggregators {
namespace {

constexpr ModuleShape kShape{14, 9};

Factors Sample(std::int64_t rank, std::uint64_t seed) {
  return RandomFactors(rank, kShape.out, kShape.in, seed);
}

double Dot(const Matrix& x, const Matrix& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.values.size(); ++i) sum += x.values[i] * y.values[i];
  return sum;
}

// A rotation (determinant 1): a product of plane rotations.
Matrix SampleRotation(std::int64_t size, std::uint64_t seed) {
  Matrix rotation = Matrix::Identity(size);
  SplitMix64 random(seed);
  for (std::int64_t p = 0; p < size; ++p) {
    for (std::int64_t q = p + 1; q < size; ++q) {
      Matrix plane = Matrix::Identity(size);
      const double angle = 2 * random.Unit() - 1;
      plane(p, p) = plane(q, q) = std::cos(angle);
      plane(p, q) = -std::sin(angle);
      plane(q, p) = std::sin(angle);
      rotation = rotation * plane;
    }
  }
  return rotation;
}

TEST(ProductNormTest, IsTheFrobeniusNormOfTheDenseProduct) {
  const Factors x = Sample(4, 1);
  EXPECT_NEAR(ProductNorm(kShape, x.View()), Product(x).Norm(), 1e-12);
  EXPECT_EQ(ProductNorm(kShape, {}), 0);
}

TEST(ProductGramTest, HoldsInnerProductsOfTheDenseProducts) {
  const std::vector<Factors> all = {Sample(4, 1), Sample(2, 2), Sample(5, 3)};
  const std::vector<FactorView> views = {all[0].View(), all[1].View(), all[2].View()};
  const std::vector<double> gram = ProductGram(kShape, views);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(gram[3 * i + j], Dot(Product(all[i]), Product(all[j])), 1e-12);
    }
  }
}

TEST(RotatedTest, FindsTheBasisOfTheReference) {
  const Factors reference = Sample(4, 1);
  const Matrix q = SampleRotation(4, 5);
  const Factors site =
      ToFactors(DenseB(reference.View()) * q.Transposed(), q * DenseA(reference.View()));
  for (const AlignBy by : {AlignBy::kA, AlignBy::kB}) {
    const Factors turned = Rotated(kShape, site.View(), reference.View(), by, 1);
    EXPECT_LT((DenseA(turned.View()) - DenseA(reference.View())).Norm(), 1e-5);
    EXPECT_LT((DenseB(turned.View()) - DenseB(reference.View())).Norm(), 1e-5);
  }
}

TEST(RotatedTest, ChangesNoProduct) {
  const Factors site = Sample(4, 1), reference = Sample(4, 2);
  for (const double strength : {0.0, 0.3, 0.5, 1.0}) {
    const Factors turned = Rotated(kShape, site.View(), reference.View(), AlignBy::kA, strength);
    EXPECT_LT((Product(turned) - Product(site)).Norm(), 1e-5) << strength;
  }
}

TEST(RotatedTest, ComesNearerToTheReference) {
  const Factors site = Sample(4, 1), reference = Sample(4, 2);
  double last = (DenseA(site.View()) - DenseA(reference.View())).Norm();
  for (const double strength : {0.3, 0.6, 1.0}) {
    const Factors turned = Rotated(kShape, site.View(), reference.View(), AlignBy::kA, strength);
    const double distance = (DenseA(turned.View()) - DenseA(reference.View())).Norm();
    EXPECT_LT(distance, last);
    last = distance;
  }
}

TEST(RotatedTest, NothingToTurnLeavesTheBits) {
  const Factors site = Sample(4, 1);
  const Factors other = Sample(4, 2);
  Factors zeros = site;
  std::fill(zeros.a.begin(), zeros.a.end(), 0.0F);
  std::fill(zeros.b.begin(), zeros.b.end(), 0.0F);
  for (const Factors& same : {Rotated(kShape, site.View(), site.View(), AlignBy::kA, 1),
                              Rotated(kShape, site.View(), zeros.View(), AlignBy::kB, 1),
                              Rotated(kShape, site.View(), other.View(), AlignBy::kA, 0)}) {
    EXPECT_EQ(same.a, site.a);
    EXPECT_EQ(same.b, site.b);
  }
}

TEST(RidgeSolutionTest, SolvesTheNormalEquations) {
  const std::vector<Factors> terms = {Sample(3, 1), Sample(5, 2)};
  const std::vector<FactorView> views = {terms[0].View(), terms[1].View()};
  const std::vector<double> weights = {0.25, 0.75};
  const Matrix a = DenseA(Sample(4, 3).View());
  const std::vector<float> a_values(a.values.begin(), a.values.end());
  const Matrix target = 0.25 * Product(terms[0]) + 0.75 * Product(terms[1]);
  for (const double ridge : {0.0, 0.01, 10.0}) {
    const Matrix x{kShape.out, 4, RidgeSolution(kShape, views, weights, 4, a_values, ridge)};
    const Matrix gradient = (x * a - target) * a.Transposed() + ridge * x;
    EXPECT_LT(gradient.Norm(), 1e-11) << ridge;
  }
}

TEST(RidgeSolutionTest, DependentRowsWithoutARidgeHaveASolutionOfLeastNorm) {
  const Factors term = Sample(2, 1);
  std::vector<float> a(2 * 9);
  for (std::size_t i = 0; i < 9; ++i) a[i] = a[9 + i] = term.a[i];
  const std::vector<FactorView> views = {term.View()};
  const std::vector<double> weights = {1};
  const std::vector<double> x = RidgeSolution(kShape, views, weights, 2, a, 0);
  for (std::size_t i = 0; i < x.size(); i += 2) EXPECT_NEAR(x[i], x[i + 1], 1e-10);
}

}  // namespace
}  // namespace tributary::aggregators
