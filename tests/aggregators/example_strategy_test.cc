// The example of docs/adding_a_strategy.md: it compiles, does what it says, and is what the page
// prints.
#include "tests/aggregators/example_strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Aggregator> MakeDecaying(const std::map<std::string, std::string>& given) {
  const Strategy& strategy = DecayedMeanStrategy();
  const auto options = Options::Read(given, strategy.options);
  EXPECT_TRUE(options.ok()) << options.status();
  return std::move(strategy.make({}, *options)).value();
}

TEST(DecayedMeanTest, ShrinksTheVersionAndAddsTheMean) {
  RoundHarness harness({8, -4});
  EXPECT_THAT(harness.Fold(*MakeDecaying({{"decay", "0.25"}}),
                           {Sends("a", {4, 0}, 1), Sends("b", {0, 8}, 3)}),
              ElementsAre(6 + 1, -3 + 6));
}

TEST(DecayedMeanTest, WithoutDecayIsTheMean) {
  RoundHarness harness({8, -4});
  EXPECT_THAT(harness.Fold(*MakeDecaying({{"decay", "0"}}), {Sends("a", {2, 1})}),
              ElementsAre(10, -3));
}

TEST(DecayedMeanTest, LimitsAreChecked) {
  const auto options = Options::Read({{"decay", "2"}}, DecayedMeanStrategy().options);
  EXPECT_THAT(options.status().message(), HasSubstr("decay"));
}

TEST(AddingAStrategyPageTest, PrintsTheExampleAsItIsBuilt) {
  const auto page = ReadFile(TRIBUTARY_SOURCE_DIR "/docs/adding_a_strategy.md");
  ASSERT_TRUE(page.ok()) << page.status();
  for (const char* name : {"example_strategy.h", "example_strategy.cc"}) {
    const auto source = ReadFile(std::string(TRIBUTARY_SOURCE_DIR "/tests/aggregators/") + name);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_THAT(*page, HasSubstr("```cpp\n" + *source + "```")) << name;
  }
}

}  // namespace
}  // namespace tributary::aggregators
