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

TEST(StrategyTableTest, EveryStrategyIsDescribed) {
  std::string family;
  std::vector<std::string> seen;
  for (const Strategy* strategy : Strategies()) {
    EXPECT_TRUE(IsPlainName(strategy->kind)) << strategy->kind;
    EXPECT_NE(strategy->summary, "") << strategy->kind;
    if (!strategy->experimental) {
      EXPECT_THAT(std::string(strategy->paper), HasSubstr("arXiv:")) << strategy->kind;
    }
    EXPECT_THAT((std::vector<std::string>{"general", "robust", "merging", "lora"}),
                testing::Contains(std::string(strategy->family)));
    EXPECT_THAT(seen, testing::Not(testing::Contains(std::string(strategy->kind))));
    if (family == strategy->family) {
      EXPECT_LT(seen.back(), strategy->kind) << "by family and then name";
    }
    family = strategy->family;
    seen.emplace_back(strategy->kind);
    EXPECT_EQ(*FindStrategy(strategy->kind), strategy);
    for (const OptionSpec& option : strategy->options) {
      EXPECT_NE(option.meaning, "") << strategy->kind << " " << option.name;
      const double most =
          option.words.empty() ? option.most : static_cast<double>(option.words.size() - 1);
      EXPECT_GE(option.fallback, option.least) << strategy->kind << " " << option.name;
      EXPECT_LE(option.fallback, most) << strategy->kind << " " << option.name;
    }
  }
}

TEST(StrategyTableTest, CapabilitiesAgreeWithTheDefaults) {
  for (const Strategy* strategy : Strategies()) {
    std::map<std::string, std::string> options;
    if (strategy->kind == "fltrust") options = {{"root_site", "a"}};
    const auto made = MakeStrategy(std::string(strategy->kind), options);
    ASSERT_NE(made, nullptr);
    const Capabilities& capabilities = strategy->capabilities;
    EXPECT_EQ(made->MinSites(), capabilities.min_sites) << strategy->kind;
    const TrainDirective directive = made->Directive(1);
    EXPECT_EQ(capabilities.site_state, directive.offset != GradientOffset::kNone ||
                                           directive.keep_optimizer || directive.keep_b_local ||
                                           directive.pruning.penalty > 0)
        << strategy->kind;
    if (strategy->family == "robust") {
      EXPECT_FALSE(capabilities.secure_sum) << strategy->kind;
    }
  }
}

TEST(StrategyTableTest, SuggestsTheNearestName) {
  const Status status = MakeAggregator({.kind = "fedvag"}).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("aggregator.kind: \"fedvag\" is not known; did you mean "
                                          "fedavg?; known: diloco fedadagrad "));
}

TEST(StrategyTableTest, NamesTheStrategyOfABadOption) {
  EXPECT_EQ(MakeError("fedavgm", {{"momentun", "0.5"}}).message(),
            "aggregator fedavgm: options: \"momentun\" is not known; did you mean momentum?; "
            "known: momentum dampening nesterov");
}

}  // namespace
}  // namespace tributary::aggregators
