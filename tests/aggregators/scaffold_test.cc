#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

// A site with the loss a/2 (y - b)^2, that trains as the directive says.
struct ScaffoldSite {
  std::string name;
  double a = 1;
  double b = 0;
  double control = 0;

  SiteUpdate Train(double x, double c, int steps, double rate) {
    double y = x;
    for (int i = 0; i < steps; ++i) y -= rate * (a * (y - b) - control + c);
    const double before = control;
    control = control - c + (x - y) / (steps * rate);
    SiteUpdate update = Sends(name, {static_cast<float>(y - x)});
    update.second = {{"w", {static_cast<float>(control - before)}}};
    return update;
  }
};

TEST(ScaffoldTest, AsksForControlVariates) {
  const TrainDirective directive = MakeStrategy("scaffold")->Directive(1);
  EXPECT_EQ(directive.offset, GradientOffset::kControlVariate);
  EXPECT_THAT(directive.server_state, ElementsAre("control"));
}

TEST(ScaffoldTest, ControlIsTheMeanOfAllSitesControls) {
  std::vector<ScaffoldSite> sites = {{"a", 1, 1}, {"b", 2, -1}, {"c", 3, 5}, {"d", 1, 0}};
  RoundHarness harness({0});
  harness.input().registered_sites = 4;
  const auto strategy = MakeStrategy("scaffold");
  double c = 0;
  for (int round = 0; round < 8; ++round) {
    std::vector<SiteUpdate> updates;
    for (int k = 0; k < 2; ++k) {  // two of the four
      updates.push_back(
          sites[static_cast<std::size_t>((round + k) % 4)].Train(harness.Global()[0], c, 3, 0.1));
    }
    harness.Fold(*strategy, updates);
    c = harness.State("control")[0];
    double mean = 0;
    for (const ScaffoldSite& site : sites) mean += site.control / 4;
    EXPECT_NEAR(c, mean, 1e-6) << round;
  }
}

TEST(ScaffoldTest, StaysAtTheOptimumWhereFedAvgDrifts) {
  // a (x - b) of the two cancels at x = 1.
  std::vector<ScaffoldSite> sites = {{"a", 1, 4, -3}, {"b", 3, 0, 3}};
  RoundHarness harness({1});
  std::vector<SiteUpdate> updates;
  for (ScaffoldSite& site : sites) updates.push_back(site.Train(1, 0, 10, 0.1));
  EXPECT_THAT(harness.Fold(*MakeStrategy("scaffold"), updates), ElementsAre(1));
  EXPECT_THAT(harness.State("control"), ElementsAre(FloatNear(0, 1e-6)));

  std::vector<ScaffoldSite> plain = {{"a", 1, 4}, {"b", 3, 0}};
  double mean = 0;
  for (ScaffoldSite& site : plain)
    mean += site.Train(1, site.control, 10, 0.1).tensors[0].values[0] / 2;
  EXPECT_GT(std::fabs(mean), 0.1);
}

TEST(ScaffoldTest, ConvergesToTheOptimumWithUnequalSites) {
  std::vector<ScaffoldSite> sites = {{"a", 1, 4}, {"b", 3, 0}};
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("scaffold");
  double c = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<SiteUpdate> updates;
    for (ScaffoldSite& site : sites) updates.push_back(site.Train(harness.Global()[0], c, 5, 0.1));
    harness.Fold(*strategy, updates);
    c = harness.State("control")[0];
  }
  EXPECT_NEAR(harness.Global()[0], 1, 1e-3);
}

TEST(ScaffoldTest, OneStepFromZeroIsFedAvg) {
  RoundHarness one({0.5F});
  RoundHarness two({0.5F});
  std::vector<ScaffoldSite> sites = {{"a", 1, 4}, {"b", 3, 0}};
  std::vector<SiteUpdate> updates;
  for (ScaffoldSite& site : sites) updates.push_back(site.Train(0.5, 0, 1, 0.1));
  const auto scaffold = one.Fold(*MakeStrategy("scaffold"), updates);
  for (SiteUpdate& update : updates) update.second.clear();
  EXPECT_EQ(scaffold, two.Fold(*MakeStrategy("fedavg"), updates));
}

TEST(ScaffoldTest, RefusesUpdatesWithoutTheSecondVectorAndWrongCounts) {
  RoundHarness harness({0});
  EXPECT_THAT(harness.Step(*MakeStrategy("scaffold"), {Sends("a", {1})}).message(),
              HasSubstr("update of site a: tensor second.w is missing"));
  harness.input().registered_sites = 1;
  std::vector<SiteUpdate> updates = {Sends("a", {1}), Sends("b", {1})};
  for (SiteUpdate& update : updates) update.second = {{"w", {0}}};
  EXPECT_THAT(harness.Step(*MakeStrategy("scaffold"), updates).message(),
              HasSubstr("2 sites contribute but 1 are registered"));
}

}  // namespace
}  // namespace tributary::aggregators
