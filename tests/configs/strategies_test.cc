// configs/strategies/: one file for each strategy, with all of its options at their defaults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "aggregators/aggregator.h"
#include "core/config.h"
#include "core/files.h"

namespace tributary {
namespace {

using testing::Contains;

struct StrategyFile {
  AdapterSection adapter;  // where ranks matter
  AggregatorSection aggregator;
  void Describe(ConfigVisitor& v) {
    v.Field("adapter", &adapter);
    v.Field("aggregator", &aggregator, {.required = true});
  }
};

std::string Directory() { return JoinPath(TRIBUTARY_CONFIGS_DIR, "strategies"); }

TEST(StrategyFilesTest, EveryStrategyHasOneAndEveryFileIsOne) {
  std::set<std::string> expected;
  for (const aggregators::Strategy* strategy : aggregators::Strategies()) {
    expected.insert(std::string(strategy->kind) + ".yaml");
  }
  const auto names = ListDirectory(Directory());
  ASSERT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) EXPECT_THAT(expected, Contains(name));
  for (const std::string& name : expected) EXPECT_THAT(*names, Contains(name));
}

TEST(StrategyFilesTest, FilesNameEveryOptionWithItsDefault) {
  for (const aggregators::Strategy* strategy : aggregators::Strategies()) {
    const std::string path = JoinPath(Directory(), std::string(strategy->kind) + ".yaml");
    StrategyFile file;
    const Status status = LoadYamlFile(path, &file);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(file.aggregator.kind, strategy->kind) << path;
    EXPECT_EQ(aggregators::MakeAggregator(file.aggregator).status(), OkStatus()) << path;
    EXPECT_EQ(file.aggregator.options.size(), strategy->options.size()) << path;
    const auto given = aggregators::Options::Read(file.aggregator.options, strategy->options);
    const auto defaults = aggregators::Options::Read({}, strategy->options);
    ASSERT_TRUE(given.ok() && defaults.ok()) << given.status();
    for (const aggregators::OptionSpec& option : strategy->options) {
      const std::string name(option.name);
      EXPECT_TRUE(file.aggregator.options.contains(name)) << path << " lacks " << name;
      if (option.text) continue;
      if (option.words.empty()) {
        EXPECT_EQ(given->Number(name), defaults->Number(name)) << path << " " << name;
      } else {
        EXPECT_EQ(given->Word(name), defaults->Word(name)) << path << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace tributary
