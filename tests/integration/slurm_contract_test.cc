#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <set>
#include <sstream>

#include "tests/contract/scheduler_contract.h"
#include "tests/integration/slurm_harness.h"

namespace tributary::scheduler_adapters {
namespace {

using integration::SlurmCluster;

// One cluster for all cases of this program.
class ClusterOfThisProgram : public testing::Environment {
 public:
  void SetUp() override {
    auto started = SlurmCluster::Start({});
    ASSERT_TRUE(started.ok()) << started.status();
    cluster = *std::move(started);
  }
  void TearDown() override { cluster.reset(); }

  static std::unique_ptr<SlurmCluster> cluster;
};
std::unique_ptr<SlurmCluster> ClusterOfThisProgram::cluster;

class ContractHarness : public integration::SlurmHarness {
 public:
  ContractHarness() : SlurmHarness(*ClusterOfThisProgram::cluster) {}

  // Slurm counts walltimes in whole minutes. A job that asked for one gets no more time once it ran
  // for longer than the contract asks for.
  void Wait() {
    poll(nullptr, 0, 100);
    const auto running = ClusterOfThisProgram::cluster->Command(
        {"squeue", "-h", "--me", "-t", "R", "-O", "JobID:20,TimeLimit:20,TimeUsed:20"});
    if (!running.ok()) return;
    std::istringstream lines(*running);
    for (std::string id, limit, used; lines >> id >> limit >> used;) {
      if (limit == "1:00" && used >= "0:02" && ended_.insert(id).second) {
        ClusterOfThisProgram::cluster->EndTimeNow(id);
      }
    }
  }

 private:
  std::set<std::string> ended_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Slurm, SchedulerContract, ContractHarness);

}  // namespace
}  // namespace tributary::scheduler_adapters

int main(int argc, char** argv) {
  testing::AddGlobalTestEnvironment(new tributary::scheduler_adapters::ClusterOfThisProgram);
  return tributary::integration::RunTestsOrSkip(argc, argv, /*accounting=*/false);
}
