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
  RankPruningTest() { EXPECT_TRUE(MakeDirectories(state_).ok()); }
  // The state behind a task that trained `start` into `trained`.
  void Train(const std::vector<float>& start, const std::vector<float>& trained,
             const PrunedRanks& pruning) {
    WriteAdapter(directory_ / "start", start);
    WriteAdapter(directory_ / "trained", trained);
    const UpdateFiles files{directory_ / "trained", directory_ / "start", "", ""};
    const TrainedTask task{.pruning = pruning};
    EXPECT_TRUE(MakeNextState(files, {}, task, state_, directory_ / "next").ok());
  }
  // What is kept once its update counted.
  std::int64_t After(const std::vector<float>& start, const std::vector<float>& trained) {
    const RankPruning pruning{0.1, 0.75, 2};
    const std::int64_t kept = *KeptRanks(state_, 4);
    Train(start, trained, {0.1, FirstPenalisedRank(pruning, kept), kept});
    EXPECT_TRUE(CommitState(directory_ / "next", state_).ok());
    return *KeptRanks(state_, 4);
  }

  const TestDirectory directory_;
  const std::string state_ = directory_ / "state";
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
  Train({1, 1, 1, 1}, {1, 1, 1, 0}, {0.1, 3, 4});
  EXPECT_EQ(*KeptRanks(state_, 4), 4);
}

// Two tasks that were staged with the same state.
TEST_F(RankPruningTest, RanksNeverComeBack) {
  EXPECT_EQ(After({1, 1, 1, 1}, {1, 1, 1, 0}), 3);
  Train({1, 1, 1, 1}, {1, 1, 1, 2}, {0.1, 3, 4});
  EXPECT_TRUE(CommitState(directory_ / "next", state_).ok());
  EXPECT_EQ(*KeptRanks(state_, 4), 3);
}

TEST_F(RankPruningTest, ADamagedFileIsNamed) {
  ASSERT_TRUE(WriteFileAtomic(JoinPath(state_, kKeptRanksFile), R"({"kept": 0})").ok());
  EXPECT_THAT(KeptRanks(state_, 4).status().message(), testing::HasSubstr("kept_ranks.json.kept"));
}

}  // namespace
}  // namespace tributary::client
