// `tributary demo`, made short: every part of it for real, with a base model too young to judge the
// outcome by.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/child_process.h"
#include "core/files.h"
#include "core/json.h"
#include "core/peft_adapter.h"
#include "core/safetensors.h"

namespace tributary::integration {
namespace {

TEST(DemoTest, FederatesThreeSitesAndPrintsTheTable) {
  const auto scratch = TemporaryDirectory::Create("tributary-demo-");
  ASSERT_TRUE(scratch.ok());
  const std::string out = scratch->path() + "/out";
  auto demo =
      ChildProcess::Start({TRIBUTARY_BIN_DIR "/tributary", "demo", "--json", "--dir",
                           scratch->path(), "--base-steps", "20", "--rounds", "2", "--steps", "3"},
                          out);
  ASSERT_TRUE(demo.ok());
  while (!demo->Poll()) usleep(50'000);  // ctest has the time limit
  const auto text = ReadFile(out);
  ASSERT_TRUE(text.ok());
  // 1: complete, but so young a base says nothing about who wins.
  EXPECT_TRUE(*demo->Poll() == 0 || *demo->Poll() == 1) << *text;
  const auto result = ParseJson(*text, "demo");
  ASSERT_TRUE(result.ok()) << result.status() << *text;
  std::vector<std::string> models;
  for (const auto& model : (*result)["models"]) {
    models.push_back(model["model"]);
    EXPECT_EQ(model["loss"].size(), 3U);
    EXPECT_GT(model["mean_loss"].get<double>(), 1.0);
    EXPECT_LT(model["mean_loss"].get<double>(), 9.0);
  }
  EXPECT_EQ(models, (std::vector<std::string>{"base", "chemistry-physics alone", "biology alone",
                                              "medicine alone", "federated", "pooled"}));
  const std::string adapter = (*result)["adapter"];
  const auto weights = SafetensorsFile::Open(JoinPath(adapter, kAdapterWeightsFile));
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->ToManifest().size(), 4U * 7U * 2U);  // layers, modules, A and B
  EXPECT_TRUE(PathExists(JoinPath(adapter, kAdapterConfigFile)));
}

}  // namespace
}  // namespace tributary::integration
