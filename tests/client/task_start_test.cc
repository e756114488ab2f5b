#include "client/task_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/site_state.h"
#include "core/peft_adapter.h"
#include "core/tensor_file.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

using testing::ElementsAre;

// A global adapter of rank 3 on one module of two inputs and two outputs, scale 2.
class TaskStartTest : public testing::Test {
 protected:
  TaskStartTest() {
    AdapterConfig config;
    config.rank = 3;
    config.alpha = 6;
    offer_.set_adapter_config_json(config.ToPeftJson());
    Announce("m.lora_A.weight", {3, 2});
    Announce("m.lora_B.weight", {2, 3});
    for (const char* name : {"/global", "/merged", "/server_state"}) {
      EXPECT_TRUE(MakeDirectories(paths_.directory + name).ok());
    }
    EXPECT_TRUE(MakeDirectories(paths_.state).ok());
    WriteFloats(paths_.Version(), {{"m.lora_A.weight", {1, 2, 3, 4, 5, 6}, {3, 2}},
                                   {"m.lora_B.weight", {10, 20, 30, 40, 50, 60}, {2, 3}}});
  }
  void Announce(const std::string& name, const std::vector<std::int64_t>& shape) {
    v1::TensorInfo* tensor = offer_.add_manifest();
    tensor->set_name(name);
    tensor->set_dtype("F32");
    tensor->mutable_shape()->Add(shape.begin(), shape.end());
  }
  Status TryToPrepare() {
    TaskFile file;
    return PrepareStart(paths_, offer_, task_, &file);
  }
  TaskFile Prepare() {
    TaskFile file;
    const Status status = PrepareStart(paths_, offer_, task_, &file);
    EXPECT_TRUE(status.ok()) << status;
    return file;
  }
  AdapterConfig Config() const {
    return *AdapterConfig::FromPeftJson(
        *ReadFile(paths_.directory + "/global/adapter_config.json"));
  }

  const TestDirectory directory_;
  const StartPaths paths_ = {directory_ / "task", directory_ / "state"};
  v1::CampaignOffer offer_;
  v1::TaskAssignment task_;
};

TEST_F(TaskStartTest, WithoutADirectiveTheStartIsTheVersion) {
  const TaskFile file = Prepare();
  EXPECT_EQ(*ReadFile(paths_.Start()), *ReadFile(paths_.Version()));
  EXPECT_EQ(Config().rank, 3);
  EXPECT_TRUE(file.merged.empty());
  EXPECT_EQ(file.gradient_offset, "");
  Prepare();  // again, after a crash
}

TEST_F(TaskStartTest, FewerRanksAreTheFirstOnesAtTheSameScale) {
  task_.set_site_rank(2);
  const TaskFile file = Prepare();
  EXPECT_THAT(ReadFloats(paths_.Start(), "m.lora_A.weight"), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ReadFloats(paths_.Start(), "m.lora_B.weight"), ElementsAre(10, 20, 40, 50));
  EXPECT_EQ(Config().rank, 2);
  EXPECT_DOUBLE_EQ(Config().Scale(), 2);
  EXPECT_TRUE(file.merged.empty());
}

TEST_F(TaskStartTest, UntrainedRanksActInTheBaseWeights) {
  task_.set_site_rank(2);
  task_.mutable_directive()->set_fold_untrained_ranks(true);
  task_.add_merged()->set_digest("x");
  const TaskFile file = Prepare();
  ASSERT_EQ(file.merged.size(), 2u);
  EXPECT_EQ(file.merged[0], paths_.Merged(0));
  EXPECT_THAT(ReadFloats(file.merged[1], "m.merged_A.weight"), ElementsAre(5, 6));
  EXPECT_THAT(ReadFloats(file.merged[1], "m.merged_B.weight"), ElementsAre(60, 120));  // 2 B
}

TEST_F(TaskStartTest, TheGradientOffsetIsTheServersControlVariateMinusTheSites) {
  task_.mutable_directive()->set_offset(1);
  TaskFile file = Prepare();  // neither is there yet
  const std::string offset = paths_.directory + "/" + file.gradient_offset;
  EXPECT_THAT(ReadFloats(offset, "m.lora_A.weight"), ElementsAre(0, 0, 0, 0, 0, 0));
  const auto all = [](float a, float b) {
    return std::vector<NamedFloats>{{"m.lora_A.weight", std::vector<float>(6, a), {3, 2}},
                                    {"m.lora_B.weight", std::vector<float>(6, b), {2, 3}}};
  };
  WriteFloats(paths_.ServerState("control"), all(5, 7));
  WriteFloats(JoinPath(paths_.state, kControlFile), all(1, 9));
  Prepare();
  EXPECT_THAT(ReadFloats(offset, "m.lora_A.weight"), ElementsAre(4, 4, 4, 4, 4, 4));
  EXPECT_THAT(ReadFloats(offset, "m.lora_B.weight"), ElementsAre(-2, -2, -2, -2, -2, -2));
}

TEST_F(TaskStartTest, TheSitesOwnBTakesThePlaceOfTheServers) {
  task_.mutable_directive()->set_keep_b_local(true);
  Prepare();
  EXPECT_THAT(ReadFloats(paths_.Start(), "m.lora_B.weight"), ElementsAre(10, 20, 30, 40, 50, 60));
  WriteFloats(JoinPath(paths_.state, kLocalBFile),
              {{"m.lora_B.weight", {1, 1, 1, 1, 1, 1}, {2, 3}}});
  Prepare();
  EXPECT_THAT(ReadFloats(paths_.Start(), "m.lora_B.weight"), ElementsAre(1, 1, 1, 1, 1, 1));
  EXPECT_THAT(ReadFloats(paths_.Start(), "m.lora_A.weight"), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(TaskStartTest, RanksThatTheSiteGaveUpAreNamed) {
  v1::RankPruning* pruning = task_.mutable_directive()->mutable_pruning();
  pruning->set_penalty(0.5);
  pruning->set_decay(0.9);
  pruning->set_least(1);
  EXPECT_EQ(Prepare().pruning, (PrunedRanks{0.5, 2, 3}));
  ASSERT_TRUE(WriteFileAtomic(JoinPath(paths_.state, "kept_ranks.json"), R"({"kept": 2})").ok());
  EXPECT_EQ(Prepare().pruning, (PrunedRanks{0.5, 1, 2}));
  pruning->set_least(2);
  EXPECT_EQ(Prepare().pruning, (PrunedRanks{0.5, 2, 2})) << "what was given up stays so";
  task_.set_site_rank(2);
  EXPECT_EQ(Prepare().pruning, std::nullopt) << "nothing to do for a trainer";
  pruning->set_decay(1);
  TaskFile file;
  EXPECT_EQ(PrepareStart(paths_, offer_, task_, &file).code(), StatusCode::kInvalidArgument);
}

TEST_F(TaskStartTest, AVersionOfOtherTensorsThanOfferedIsRefused) {
  WriteFloats(paths_.Version(),
              {{"m.lora_A.weight", {1, 2}, {1, 2}}, {"m.lora_B.weight", {1, 2}, {2, 1}}});
  EXPECT_THAT(TryToPrepare().message(),
              testing::HasSubstr("tensor m.lora_A.weight has shape [1, 2]; must be [3, 2]"));
  task_.set_site_rank(2);
  EXPECT_EQ(TryToPrepare().code(), StatusCode::kInvalidArgument);
  WriteFloats(paths_.Version(), {{"m.lora_A.weight", {1, 2, 3, 4, 5, 6}, {3, 2}}});
  EXPECT_THAT(TryToPrepare().message(), testing::HasSubstr("m.lora_B.weight is missing"));
}

// The site's own files lie around a control variate that is too short in memory.
TEST_F(TaskStartTest, AControlVariateOfAnotherShapeIsRefused) {
  task_.mutable_directive()->set_offset(1);
  WriteFloats(paths_.ServerState("control"),
              {{"m.lora_A.weight", {5}}, {"m.lora_B.weight", std::vector<float>(6, 7), {2, 3}}});
  const Status status = TryToPrepare();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(),
              testing::HasSubstr("tensor m.lora_A.weight has shape [1]; must be [3, 2]"));
}

TEST_F(TaskStartTest, FactorsOfAnotherRankThanTheConfigurationsAreRefused) {
  AdapterConfig config;
  config.rank = 64;
  offer_.set_adapter_config_json(config.ToPeftJson());
  task_.set_site_rank(8);
  EXPECT_THAT(TryToPrepare().message(),
              testing::HasSubstr("tensor m.lora_A.weight [3, 2] is no factor of rank 64"));
  task_.set_site_rank(0);
  task_.mutable_directive()->set_keep_b_local(true);
  EXPECT_EQ(TryToPrepare().code(), StatusCode::kInvalidArgument);
}

TEST_F(TaskStartTest, FactorsThatAreNoPairAreRefused) {
  task_.set_site_rank(2);
  offer_.clear_manifest();
  Announce("m.lora_A.weight", {3});
  WriteFloats(paths_.Version(), {{"m.lora_A.weight", {1, 2, 3}}});
  EXPECT_THAT(TryToPrepare().message(),
              testing::HasSubstr("tensor m.lora_A.weight [3] is no factor of a LoRA pair"));
  offer_.clear_manifest();
  Announce("m.lora_A.weight", {2, 2});
  Announce("m.lora_B.weight", {1, 3});
  WriteFloats(paths_.Version(),
              {{"m.lora_A.weight", {1, 2, 3, 4}, {2, 2}}, {"m.lora_B.weight", {1, 2, 3}, {1, 3}}});
  EXPECT_THAT(TryToPrepare().message(),
              testing::HasSubstr("are no LoRA pair; must be [rank, in] and [out, rank]"));
}

TEST_F(TaskStartTest, UnknownDirectivesAreRefused) {
  TaskFile file;
  task_.mutable_directive()->set_offset(9);
  EXPECT_EQ(PrepareStart(paths_, offer_, task_, &file).code(), StatusCode::kInvalidArgument);
  task_.mutable_directive()->set_offset(0);
  task_.mutable_directive()->add_server_state("../../etc/passwd");
  EXPECT_EQ(PrepareStart(paths_, offer_, task_, &file).code(), StatusCode::kInvalidArgument);
}

// What the site keeps moves by what it sent, and only when that counts.
TEST_F(TaskStartTest, TheSitesStateMovesOnceTheUpdateCounts) {
  const std::string next = directory_ / "task/next_state";
  WriteFloats(directory_ / "update", {{"w", {2}}, {"second.w", {-3}}});
  WriteFloats(JoinPath(paths_.state, kControlFile), {{"w", {10}}});
  const UpdateFiles files{"", "", "", directory_ / "update"};
  TrainDirective directive;
  directive.offset = GradientOffset::kControlVariate;
  ASSERT_TRUE(MakeNextState(files, directive, {1}, paths_.state, next).ok());
  EXPECT_THAT(ReadFloats(JoinPath(paths_.state, kControlFile), "w"), ElementsAre(10));
  ASSERT_TRUE(CommitState(next, paths_.state).ok());
  EXPECT_THAT(ReadFloats(JoinPath(paths_.state, kControlFile), "w"), ElementsAre(7));
  ASSERT_TRUE(CommitState(next, paths_.state).ok());  // again, after a crash
  EXPECT_THAT(ReadFloats(JoinPath(paths_.state, kControlFile), "w"), ElementsAre(7));

  directive.offset = GradientOffset::kDualGradient;
  directive.proximal = 0.5;
  WriteFloats(directory_ / "update", {{"w", {2}}});
  for (int round = 1; round <= 2; ++round) {  // q <- q - alpha D
    ASSERT_TRUE(MakeNextState(files, directive, {1}, paths_.state, next).ok());
    ASSERT_TRUE(CommitState(next, paths_.state).ok());
    EXPECT_THAT(ReadFloats(JoinPath(paths_.state, kDualFile), "w"),
                ElementsAre(-1.0F * static_cast<float>(round)));
  }
}

// Whatever rounding takes away comes with a later update: what was sent and what is kept add up to
// what was trained.
TEST_F(TaskStartTest, WhatRoundingTakesComesWithTheNextUpdate) {
  const std::string next = directory_ / "task/next_state";
  const std::vector<float> step = {1.0F / 3, -0.001F};
  WriteFloats(directory_ / "start", {{"w", {0, 0}}});
  WriteFloats(directory_ / "trained", {{"w", step}});
  TrainDirective directive;
  directive.error_feedback = true;
  for (const UpdateDtype dtype : {UpdateDtype::kBf16, UpdateDtype::kI8}) {
    directive.dtype = dtype;
    ASSERT_TRUE(RemoveFile(JoinPath(paths_.state, kResidualFile)).ok());
    std::vector<double> sent(2);
    for (int round = 1; round <= 3; ++round) {
      const auto residual = ResidualFor(directive, round, paths_.state);
      ASSERT_TRUE(residual.ok());
      EXPECT_EQ(residual->empty(), round == 1);
      const UpdateFiles files{directory_ / "trained", directory_ / "start", "",
                              directory_ / "update", *residual};
      const Manifest manifest = {{"w", DType::kF32, {2}}};
      ASSERT_TRUE(WriteUpdateFile(files, {manifest, directive, 0, ByteSize{1000}}).ok());
      std::vector<float> values = step;
      if (!residual->empty()) {
        const auto kept = ReadFloats(*residual, "w");
        for (std::size_t i = 0; i < 2; ++i) values[i] += kept[i];
      }
      RoundTrip(dtype, values);  // what the server reads
      for (std::size_t i = 0; i < 2; ++i) sent[i] += values[i];
      const Status made = MakeNextState(files, directive, {round}, paths_.state, next);
      ASSERT_TRUE(made.ok()) << made;
      ASSERT_TRUE(CommitState(next, paths_.state).ok());
      const auto kept = ReadFloats(JoinPath(paths_.state, kResidualFile), "w");
      for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(sent[i] + kept[i], round * step[i], 1e-7);
    }
  }
  EXPECT_FALSE(ResidualFor(directive, 13, paths_.state)->empty());
  EXPECT_TRUE(ResidualFor(directive, 14, paths_.state)->empty());  // too old to mean anything
}

}  // namespace
}  // namespace tributary::client
