#include "client/rank_pruning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/site_state.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

// Two modules of rank 4 with two inputs and one output: every element of rank j is values[j].
void WriteAdapter(const std::string& path, const std::vector<float>& values) {
  std::vector<float> a;
  for (const float value : values) a.insert(a.end(), {value, value});
  std::vector<NamedFloats> tensors;
  for (const std::string module : {"m", "n"}) {
    tensors.push_back({module + ".lora_A.weight", a, {4, 2}});
    tensors.push_back({module + ".lora_B.weight", values, {1, 4}});
  }
  WriteFloats(path, tensors);
}

class RankPruningTest : public testing::Test {
 protected:
  RankPruningTest() {
    EXPECT_TRUE(MakeDirectories(state_).ok());
    directive_.pruning = {0.1, 0.75, 2};
  }
  // What is kept once an update counted that trained `start` into `trained`.
  std::int64_t After(const std::vector<float>& start, const std::vector<float>& trained) {
    WriteAdapter(directory_ / "start", start);
    WriteAdapter(directory_ / "trained", trained);
    const UpdateFiles files{directory_ / "trained", directory_ / "start", "", ""};
    EXPECT_TRUE(MakeNextState(files, directive_, 1, "", state_, directory_ / "next").ok());
    EXPECT_TRUE(CommitState(directory_ / "next", state_).ok());
    return *KeptRanks(state_, 4);
  }

  const TestDirectory directory_;
  const std::string state_ = directory_ / "state";
  TrainDirective directive_;
};

TEST_F(RankPruningTest, TheLastRanksAreThoseFromGammaROn) {
  EXPECT_EQ(FirstPenalisedRank({1, 0.99, 5}, 50), 49);
  EXPECT_EQ(FirstPenalisedRank({1, 0.99, 5}, 6), 5);
  EXPECT_EQ(FirstPenalisedRank({1, 0.99, 5}, 5), 5);
  EXPECT_EQ(FirstPenalisedRank({1, 0.99, 5}, 3), 3) << "fewer than the least from the start";
  EXPECT_EQ(FirstPenalisedRank({1, 0.5, 1}, 16), 8);
}

TEST_F(RankPruningTest, RanksThatShrankAreGivenUpForGood) {
  EXPECT_EQ(*KeptRanks(state_, 4), 4);
  EXPECT_EQ(After({1, 1, 1, 1}, {2, 2, 2, 1}), 4) << "the last one did not shrink";
  EXPECT_EQ(After({1, 1, 1, 1}, {2, 2, 2, 0.5}), 3);
  EXPECT_EQ(After({1, 1, 1, 1}, {2, 2, 2, 0}), 3) << "what is given up does not count";
  EXPECT_EQ(After({1, 1, 1, 1}, {2, 2, 0.5, 0}), 2);
  EXPECT_EQ(After({1, 1, 1, 1}, {0.5, 0.5, 0, 0}), 2) << "least";
  EXPECT_EQ(*KeptRanks(state_, 1), 1);
}

TEST_F(RankPruningTest, AFreshAdapterGivesNothingUp) {
  EXPECT_EQ(After({0, 0, 0, 0}, {0, 0, 0, 0}), 4);
  EXPECT_EQ(After({0, 0, 0, 0}, {1, 1, 1, 1}), 4);
}

TEST_F(RankPruningTest, NothingChangesBeforeTheUpdateCounts) {
  WriteAdapter(directory_ / "start", {1, 1, 1, 1});
  WriteAdapter(directory_ / "trained", {1, 1, 1, 0});
  const UpdateFiles files{directory_ / "trained", directory_ / "start", "", ""};
  ASSERT_TRUE(MakeNextState(files, directive_, 1, "", state_, directory_ / "next").ok());
  EXPECT_EQ(*KeptRanks(state_, 4), 4);
}

TEST_F(RankPruningTest, ADamagedFileIsNamed) {
  ASSERT_TRUE(WriteFileAtomic(JoinPath(state_, kKeptRanksFile), R"({"kept": 0})").ok());
  EXPECT_THAT(KeptRanks(state_, 4).status().message(), testing::HasSubstr("kept_ranks.json.kept"));
}

}  // namespace
}  // namespace tributary::client
