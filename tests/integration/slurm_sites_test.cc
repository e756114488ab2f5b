// The site files for Slurm machines, read by a real sbatch. This cluster is none of those machines,
// so its controller may refuse what they ask for; but every option must have been understood first.
#include <gtest/gtest.h>

#include <algorithm>

#include "client/client_config.h"
#include "client/job_rendering.h"
#include "core/clock.h"
#include "scheduler_adapters/command_runner.h"
#include "tests/integration/slurm_harness.h"

namespace tributary::integration {
namespace {

// Options of plugins that a machine's own Slurm has.
bool NeedsAPlugin(const std::string& script) { return script.find("--ipus") != std::string::npos; }

TEST(SlurmSitesTest, SbatchUnderstandsEverySiteFile) {
  const auto cluster = SlurmCluster::Start({});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const auto scratch = *TemporaryDirectory::Create("slurm-sites-");
  const std::string sites = TRIBUTARY_CONFIGS_DIR "/sites";
  auto names = *ListDirectory(sites);
  std::sort(names.begin(), names.end());
  int understood = 0;
  for (const std::string& name : names) {
    if (!name.ends_with(".yaml")) continue;
    auto config = client::LoadClientConfig(JoinPath(sites, name));
    ASSERT_TRUE(config.ok()) << config.status();
    if (config->scheduler.adapter != "slurm") continue;
    config->scheduler.state_directory = scratch.path() + "/" + name;
    const SystemClock clock;
    const auto adapter = scheduler_adapters::MakeSchedulerAdapter(config->scheduler, clock);
    ASSERT_TRUE(adapter.ok()) << adapter.status();
    const std::string script = (*adapter)->Render(client::SampleJob(*config, "train"));
    if (NeedsAPlugin(script)) continue;
    const std::string path = scratch.path() + "/job.sh";
    ASSERT_TRUE(WriteFileAtomic(path, script, 0700).ok());
    scheduler_adapters::CommandRunner runner({});
    const auto said = runner.Run({"sbatch", "--test-only", path});
    ASSERT_TRUE(said.ok()) << said.status();
    // Sbatch itself says what it does not understand; these are what this cluster does not have.
    const bool understands =
        said->ok() || said->err.find("allocation failure:") != std::string::npos ||
        said->err.find("Invalid generic resource (gres) specification") != std::string::npos;
    EXPECT_TRUE(understands) << name << ": " << said->Summary() << "\n" << script;
    understood += understands ? 1 : 0;
  }
  EXPECT_GE(understood, 4);
}

}  // namespace
}  // namespace tributary::integration

int main(int argc, char** argv) {
  return tributary::integration::RunTestsOrSkip(argc, argv, /*accounting=*/false);
}
