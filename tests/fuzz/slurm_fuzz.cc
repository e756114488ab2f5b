// What Slurm prints, with names and reasons that others chose.
#include <vector>

#include "scheduler_adapters/slurm_text.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {
namespace {

namespace sched = scheduler_adapters;

std::vector<std::string> Lines(std::string_view text, std::size_t piece) {
  std::vector<std::string> lines;
  sched::LineSplitter splitter([&](std::string_view line) { lines.emplace_back(line); });
  for (std::size_t at = 0; at < text.size(); at += piece) splitter.Feed(text.substr(at, piece));
  splitter.Finish();
  return lines;
}

void CheckStatus(const sched::JobStatus& status) {
  Require(!status.id.empty(), "a job has an id");
  Require(status.message.size() <= sched::kMaxJobMessageBytes, "a message is bounded");
  Require(status.message.find('\n') == std::string::npos, "a message is one line");
}

}  // namespace

void FuzzSlurm(std::string_view bytes) {
  const std::vector<std::string> lines = Lines(bytes, 4096);
  Require(lines == Lines(bytes, 3), "lines are the same in pieces of any size");
  sched::SacctJobs jobs;
  for (const std::string& line : lines) {
    Require(line.size() <= sched::LineSplitter::kMaxLine, "a line is bounded");
    if (const auto job = sched::ParseSqueueLine(line)) CheckStatus(job->status);
    if (const auto job = sched::ParseSacctLine(line)) {
      CheckStatus(job->status);
      jobs.Add(*job);
    }
  }
  for (const auto& [id, job] : jobs.jobs()) CheckStatus(job.status);
  (void)sched::SlurmJobState(bytes, bytes);
  for (const std::string& id : sched::ParseSubmittedIds(bytes)) {
    Require(sched::IsSlurmJobId(id), "sbatch's ids are ids");
  }
  (void)sched::ParseTestOnlyStart(bytes);
  (void)sched::ParseSlurmVersion(bytes);
  (void)sched::SomeControllerIsUp(bytes);
  (void)sched::SbatchTroubleIn(bytes);
  (void)sched::ParseSlurmExit(bytes);
  (void)sched::ParseSlurmDuration(bytes);
}

std::vector<std::string> SlurmSeeds() {
  return {"",
          "101|COMPLETED|0:0|2026-11-21T15:23:21|2026-11-21T15:23:22|2026-11-21T15:23:25|3|1|1|"
          "cpu=1,mem=100M,node=1,billing=1|ok\n",
          "102|CANCELLED by 0|0:15|2026-11-21T15:23:21|Unknown|Unknown|0|0|0||a|b\n"
          "102|NODE_FAIL|1:0|2026-11-21T15:23:21|None|2026-11-21T15:23:25|4|2|8|gres/gpu=8|a|b\n",
          std::string("101") + std::string(200, ' ') + "RUNNING" + std::string(300, ' ') + "None",
          "135\n",
          "136;cluster\n",
          "sbatch: Job 137 to start at 2026-11-21T16:00:00 using 4 processors on nodes n1\n",
          "sbatch: error: Batch job submission failed: Invalid account\n",
          "slurm-wlm 22.05.8\n",
          "Slurmctld(primary) at c1 is UP\nSlurmctld(backup) at c2 is DOWN\n",
          "[\"RUNNING\",\"COMPLETING\"]",
          "1792",
          "1-02:03:04"};
}

}  // namespace tributary
