#include "client/launcher.h"

#include <gtest/gtest.h>

namespace tributary::client {
namespace {

struct Case {
  std::vector<std::string> launcher;
  std::int64_t nodes, cpus, tasks, processes, threads;
  std::vector<std::string> trainer = {"/opt/trainer"};
};

TEST(LauncherTest, TasksAndThreadsAreThoseOfItsOptions) {
  const std::vector<std::string> torchrun = {"/opt/torchrun", "--standalone", "--nproc_per_node=4"};
  const std::vector<Case> cases = {
      {{}, 1, 8, 1, 1, 8},
      {{"srun"}, 2, 8, 1, 1, 8},
      {{"srun", "--ntasks-per-node=4"}, 2, 8, 4, 4, 2},
      {{"srun", "--ntasks-per-node", "4"}, 1, 6, 4, 4, 1},
      {{"srun", "-N1", "-n8", "-c7", "--gpus-per-task=1"}, 1, 56, 8, 8, 7},
      {{"srun", "--export=ALL", "-n4", "-c32"}, 1, 128, 4, 4, 32},
      {{"srun", "--ntasks=6"}, 4, 4, 2, 2, 2},
      {{"mpiexec", "-n", "8", "--ppn", "4"}, 2, 16, 4, 4, 4},
      {{"mpiexec", "-np", "2"}, 1, 2, 2, 2, 1},
      {{"mpirun", "-npernode", "2"}, 3, 8, 2, 2, 4},
      {{"srun", "torchrun", "--nproc-per-node=4"}, 2, 32, 1, 4, 8},
      {{}, 1, 32, 1, 4, 8, torchrun},
      {{"srun", "-n", "many"}, 1, 8, 1, 1, 8},
      {{"srun", "-n"}, 1, 8, 1, 1, 8},
      {{"mpiexec", "-n", "-5"}, 1, 8, 1, 1, 8},
  };
  for (const Case& c : cases) {
    JobSection job;
    job.launcher = c.launcher;
    job.trainer = c.trainer;
    job.nodes = c.nodes;
    job.cpus = c.cpus;
    std::string words;
    for (const std::string& word : c.launcher) words += word + " ";
    EXPECT_EQ(CountLaunched(job).tasks, c.tasks) << words;
    EXPECT_EQ(CountLaunched(job).processes, c.processes) << words;
    EXPECT_EQ(ThreadsOf(job), c.threads) << words;
  }
}

}  // namespace
}  // namespace tributary::client
