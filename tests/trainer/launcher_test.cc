#include "trainer/launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/files.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;

Result<LauncherPlace> Find(const std::map<std::string, std::string>& variables) {
  return FindPlace([&](const std::string& name) {
    const auto it = variables.find(name);
    return it == variables.end() ? std::nullopt : std::optional(it->second);
  });
}

TEST(LauncherTest, AProcessWithoutALauncherIsAlone) {
  EXPECT_EQ(Find({})->size, 1);
  // A batch script of Slurm is no process of a step, however many tasks its job has.
  EXPECT_EQ(Find({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}})->size, 1);
}

TEST(LauncherTest, TheRankOnTheNodeIsTheLaunchersOwn) {
  EXPECT_EQ(Find({{"RANK", "5"}, {"WORLD_SIZE", "8"}})->local_rank, 5);
  EXPECT_EQ(Find({{"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}})->local_rank, 1);
  // Dealt out to two nodes in turns.
  EXPECT_EQ(Find({{"SLURM_PROCID", "6"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_LOCALID", "3"}})
                ->local_rank,
            3);
  EXPECT_EQ(Find({{"PMI_RANK", "6"}, {"PMI_SIZE", "8"}, {"MPI_LOCALRANKID", "2"}})->local_rank, 2);
  EXPECT_THAT(Find({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "x"}}).status().message(),
              HasSubstr("LOCAL_RANK is \"x\""));
}

TEST(LauncherTest, EachLauncherSaysItInItsOwnWords) {
  for (const auto& [rank, size] : {std::pair("RANK", "WORLD_SIZE"),
                                   {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                   {"PMI_RANK", "PMI_SIZE"},
                                   {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}}) {
    const auto place = Find({{rank, "3"}, {size, "8"}});
    ASSERT_TRUE(place.ok()) << place.status();
    EXPECT_EQ(place->rank, 3) << rank;
    EXPECT_EQ(place->size, 8) << rank;
    EXPECT_EQ(place->master, "127.0.0.1");
  }
}

TEST(LauncherTest, TheyMeetAtTheFirstNodeOfTheJob) {
  const auto slurm = Find({{"SLURM_PROCID", "1"},
                           {"SLURM_STEP_NUM_TASKS", "2"},
                           {"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.7"},
                           {"SLURM_JOB_ID", "123456"}});
  EXPECT_EQ(slurm->master, "10.0.0.7");
  EXPECT_EQ(slurm->port, 20'000 + 123456 % 12'000);

  const auto directory = std::move(TemporaryDirectory::Create("launcher-test")).value();
  const std::string nodes = JoinPath(directory.path(), "nodes");
  ASSERT_TRUE(WriteFileAtomic(nodes, "x1000c0\nx1000c1\n").ok());
  const auto pbs = Find({{"PMI_RANK", "0"},
                         {"PMI_SIZE", "2"},
                         {"PBS_NODEFILE", nodes},
                         {"PBS_JOBID", "77.server"},
                         {"MASTER_PORT", "4711"}});
  EXPECT_EQ(pbs->master, "x1000c0");
  EXPECT_EQ(pbs->port, 4711);
}

TEST(LauncherTest, RefusesARankThatIsNone) {
  EXPECT_THAT(Find({{"RANK", "2"}, {"WORLD_SIZE", "2"}}).status().message(),
              HasSubstr("RANK is \"2\"; must be a number from 0 to 1"));
  EXPECT_THAT(Find({{"RANK", "0"}, {"WORLD_SIZE", "many"}}).status().message(),
              HasSubstr("WORLD_SIZE"));
}

}  // namespace
}  // namespace tributary::trainer
