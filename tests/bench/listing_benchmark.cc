#include "tests/bench/listing_benchmark.h"

#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/files.h"
#include "scheduler_adapters/batch_system.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::bench {
namespace {

using nlohmann::json;
using scheduler_adapters::BatchSystem;
using scheduler_adapters::CommandRunner;

std::string Padded(std::string text, std::size_t width) {
  text.resize(width, ' ');
  return text;
}

// The columns of scheduler_adapters/slurm_text.h.
std::ofstream& SlurmListing(std::ofstream& out, std::int64_t jobs) {
  for (std::int64_t i = 1; i <= jobs; ++i) {
    out << Padded(std::to_string(i), 32) << Padded("PENDING", 32) << Padded("0", 16)
        << Padded("0", 8) << Padded("1", 4) << Padded("2026-11-21T10:00:00", 24)
        << Padded("2026-11-21T12:00:00", 24) << Padded("2026-11-21T13:00:00", 24)
        << Padded("1:00:00", 24) << Padded("1", 12) << Padded("2", 12)
        << Padded("cpu=2,node=1", 256) << Padded("N/A", 96) << Padded("Priority", 128)
        << Padded("trib-0123abcd.chem.r" + std::to_string(i), 128) << "\n";
  }
  return out;
}

std::ofstream& PbsListing(std::ofstream& out, std::int64_t jobs) {
  out << "{\n\t\"timestamp\":\t1795236220,\n\t\"Jobs\":\t{\n";
  const std::string filler(1000, 'x');  // the environment of a job
  for (std::int64_t i = 1; i <= jobs; ++i) {
    out << (i > 1 ? ",\n" : "") << "\t\t\"" << i
        << ".pbs01\":\t{\n\t\t\t\"Job_Name\":\t\"trib-0123abcd.chem.r" << i
        << "\",\n\t\t\t\"job_state\":\t\"Q\",\n\t\t\t\"substate\":\t10,\n"
           "\t\t\t\"comment\":\t\"Not Running: Not enough free nodes available\",\n"
           "\t\t\t\"Variable_List\":\t{\n\t\t\t\t\"X\":\t\""
        << filler << "\"\n\t\t\t}\n\t\t}";
  }
  out << "\n\t}\n}\n";
  return out;
}

using Write = std::ofstream& (*)(std::ofstream&, std::int64_t);

long PeakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// One listing that `program` prints, asked for by `system`.
Result<json> Measure(const std::string& directory, const std::string& program,
                     const std::string& suffix, Write write, BatchSystem& system,
                     std::int64_t jobs) {
  const std::string file = directory + "/" + program + ".listing";
  {
    std::ofstream out(file);  // piece by piece: it must not count as this process's memory
    if (!write(out, jobs).flush()) return UnavailableError(file + ": cannot be written");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t bytes, FileSize(file));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(directory + "/" + program, "#!/bin/sh\nexec cat " + file + "\n", 0700));
  std::vector<std::string> ids;
  for (std::int64_t i = 1; i <= jobs; i += 10) ids.push_back(std::to_string(i) + suffix);

  const auto limit_begin = std::chrono::steady_clock::now();
  CommandRunner plain({.directory = directory});
  TRIBUTARY_RETURN_IF_ERROR(plain.Run({program}, [](std::string_view) {}).status());
  const double limit = SecondsSince(limit_begin);

  const long before = PeakKilobytes();
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto said, system.List(ids));
  const double seconds = SecondsSince(begin);
  if (said.size() != ids.size()) {
    return InternalError(program + ": " + std::to_string(said.size()) + " of " +
                         std::to_string(ids.size()) + " jobs were read");
  }
  return json{{"bytes", bytes},
              {"seconds", seconds},
              {"limit_seconds_printing", limit},
              {"ratio_to_limit", seconds / limit},
              {"memory_growth_kib", PeakKilobytes() - before}};
}

}  // namespace

Result<std::string> RunListingBenchmark(const ListingOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-bench-"));
  scheduler_adapters::SchedulerOptions scheduler;
  scheduler.command_directory = scratch.path();
  scheduler.command_interval = std::chrono::milliseconds(0);
  const auto slurm = scheduler_adapters::MakeSlurm(scheduler);
  const auto pbs = scheduler_adapters::MakePbs(scheduler);
  TRIBUTARY_ASSIGN_OR_RETURN(const json of_slurm, Measure(scratch.path(), "squeue", "",
                                                          &SlurmListing, *slurm, options.jobs));
  TRIBUTARY_ASSIGN_OR_RETURN(const json of_pbs, Measure(scratch.path(), "qstat", ".pbs01",
                                                        &PbsListing, *pbs, options.jobs));
  return json{{"jobs", options.jobs}, {"slurm", of_slurm}, {"pbs", of_pbs}}.dump(2);
}

}  // namespace tributary::bench
