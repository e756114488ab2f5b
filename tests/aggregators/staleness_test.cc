#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "aggregators/staleness.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::Pointwise;

TEST(StalenessTest, FadesAsThePapersSay) {
  using Kind = Staleness::Kind;
  const Staleness polynomial{Kind::kPolynomial, 0.5, 0, 0};
  const std::vector<double> expected = {1, .70711, .57735, .5, .44721};
  for (std::int64_t tau = 0; tau < 5; ++tau) {
    EXPECT_NEAR(polynomial.Weight(tau), expected[static_cast<std::size_t>(tau)], 1e-5);
  }
  const Staleness hinge{Kind::kHinge, 10, 4, 0};
  EXPECT_EQ(hinge.Weight(0), 1);
  EXPECT_EQ(hinge.Weight(4), 1);
  EXPECT_NEAR(hinge.Weight(5), .090909, 1e-6);
  EXPECT_NEAR(hinge.Weight(6), .047619, 1e-6);
  EXPECT_NEAR(hinge.Weight(7), .032258, 1e-6);
  EXPECT_EQ((Staleness{Kind::kConstant, 0, 0, 0}.Weight(1000)), 1);
}

TEST(StalenessTest, TooOldCountsNothing) {
  const Staleness rule{Staleness::Kind::kConstant, 0, 0, 3};
  std::vector<Contribution> contributions(2);
  contributions[0].staleness = 3;
  contributions[1].staleness = 4;
  EXPECT_THAT(*StalenessWeights(rule, contributions), ElementsAre(1, 0));
  contributions[0].staleness = 9;
  EXPECT_THAT(*StalenessWeights(rule, contributions), ElementsAre(0, 0));
  contributions[0].staleness = -1;
  EXPECT_FALSE(StalenessWeights(rule, contributions).ok());
}

}  // namespace
}  // namespace tributary::aggregators
