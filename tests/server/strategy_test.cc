#include "server/strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregators/aggregator.h"

namespace tributary::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

CampaignFile FileOf(const std::string& kind) {
  CampaignFile file;
  file.aggregator.kind = kind;
  file.sites = {"a", "b", "c"};
  return file;
}

// A site answers an offer by what its trainer can do.
TEST(StrategyTest, WhatTasksAskOfATrainerIsInTheOffer) {
  EXPECT_THAT(TrainerNeeds(FileOf("fedavg")), IsEmpty());
  EXPECT_THAT(TrainerNeeds(FileOf("fedprox")), ElementsAre("proximal"));
  EXPECT_THAT(TrainerNeeds(FileOf("scaffold")), Contains("gradient_offset"));
  EXPECT_THAT(TrainerNeeds(FileOf("ffa-lora")), Contains("frozen"));
  EXPECT_THAT(TrainerNeeds(FileOf("rolora")), Contains("frozen"));
  EXPECT_THAT(TrainerNeeds(FileOf("flora")), ElementsAre("merged"));
  EXPECT_THAT(TrainerNeeds(FileOf("fedex-lora")), ElementsAre("merged"));
  CampaignFile folded = FileOf("foldflex");
  EXPECT_THAT(TrainerNeeds(folded), IsEmpty());
  folded.aggregator.options["mode"] = "exact";
  EXPECT_THAT(TrainerNeeds(folded), ElementsAre("merged"));
  CampaignFile file = FileOf("fedavg");
  file.data.evaluate = {"test"};
  file.evaluation.answer_tokens = 8;
  file.training.base_precision = "int8";
  EXPECT_THAT(TrainerNeeds(file), ElementsAre("evaluate", "answers", "base_precision.int8"));
  file.evaluation.every = 0;
  EXPECT_THAT(TrainerNeeds(file), ElementsAre("base_precision.int8"));
}

}  // namespace
}  // namespace tributary::server
