#include "trainer/launcher.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "core/files.h"

namespace tributary::trainer {
namespace {

constexpr int kMostProcesses = 65'536;
constexpr int kFirstPort = 20'000;
constexpr int kPorts = 12'000;  // below those that connections get

struct Launcher {
  const char* rank;
  const char* size;
  std::array<const char*, 2> local_ranks;  // the first that is there counts
};
constexpr Launcher kLaunchers[] = {
    {"RANK", "WORLD_SIZE", {"LOCAL_RANK", "LOCAL_RANK"}},
    {"OMPI_COMM_WORLD_RANK",
     "OMPI_COMM_WORLD_SIZE",
     {"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"}},
    {"PMI_RANK", "PMI_SIZE", {"PMI_LOCAL_RANK", "MPI_LOCALRANKID"}},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", {"SLURM_LOCALID", "SLURM_LOCALID"}}};

Result<int> NumberIn(const std::string& name, const std::string& text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= least && value <= most) {
    return value;
  }
  return InvalidArgumentError(name + " is \"" + text + "\"; must be a number from " +
                              std::to_string(least) + " to " + std::to_string(most));
}

std::string FirstNode(const Variables& variables) {
  if (const auto file = variables("PBS_NODEFILE")) {
    if (const auto text = ReadFile(*file); text.ok()) return text->substr(0, text->find('\n'));
  }
  return variables("SLURM_LAUNCH_NODE_IPADDR").value_or("127.0.0.1");
}

// Jobs on one node must not meet each other.
int PortOfJob(const Variables& variables) {
  std::string job = variables("SLURM_JOB_ID").value_or(variables("PBS_JOBID").value_or("0"));
  job = job.substr(0, job.find('.'));
  std::erase_if(job, [](char c) { return c < '0' || c > '9'; });
  return kFirstPort + static_cast<int>(std::strtoull(job.c_str(), nullptr, 10) % kPorts);
}

}  // namespace

Result<LauncherPlace> FindPlace(const Variables& variables) {
  LauncherPlace place;
  for (const Launcher& launcher : kLaunchers) {
    const auto rank = variables(launcher.rank);
    const auto size = variables(launcher.size);
    if (!rank || !size) continue;
    TRIBUTARY_ASSIGN_OR_RETURN(place.size, NumberIn(launcher.size, *size, 1, kMostProcesses));
    TRIBUTARY_ASSIGN_OR_RETURN(place.rank, NumberIn(launcher.rank, *rank, 0, place.size - 1));
    place.local_rank = place.rank;
    for (const char* name : launcher.local_ranks) {
      const auto local = variables(name);
      if (!local) continue;
      TRIBUTARY_ASSIGN_OR_RETURN(place.local_rank, NumberIn(name, *local, 0, place.size - 1));
      break;
    }
    break;
  }
  if (place.size == 1) return place;
  place.master = variables("MASTER_ADDR").value_or(FirstNode(variables));
  int port = PortOfJob(variables);
  if (const auto given = variables("MASTER_PORT")) {
    TRIBUTARY_ASSIGN_OR_RETURN(port, NumberIn("MASTER_PORT", *given, 1, 65'535));
  }
  place.port = static_cast<std::uint16_t>(port);
  return place;
}

Variables EnvironmentVariables() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
  };
}

}  // namespace tributary::trainer
