// Where a process stands among those that a launcher started for one job: torchrun, srun, mpiexec.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/status.h"

namespace tributary::trainer {

struct LauncherPlace {
  int rank = 0;
  int size = 1;        // processes
  int local_rank = 0;  // among those of this node
  std::string master;  // where they meet: host name or address
  std::uint16_t port = 0;
};

// The value of an environment variable; none where it is not set.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

// In this order: RANK and WORLD_SIZE (torchrun), OMPI_COMM_WORLD_RANK and _SIZE (Open MPI),
// PMI_RANK and PMI_SIZE (MPICH, Intel, Cray), SLURM_PROCID and SLURM_STEP_NUM_TASKS (srun); and
// LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_RANK, PMI_LOCAL_RANK or MPI_LOCALRANKID, SLURM_LOCALID, without
// which a process counts as its rank says. They
// meet at MASTER_ADDR and MASTER_PORT, else at the first node of the job's PBS_NODEFILE or at
// SLURM_LAUNCH_NODE_IPADDR, on a port that follows from the job's number. Invalid argument for a
// rank that is none.
Result<LauncherPlace> FindPlace(const Variables& variables);

// Of this process's environment.
Variables EnvironmentVariables();

}  // namespace tributary::trainer
