// What the words of `job.launcher` start, so that the job asks for it and its processes share their
// node's CPUs instead of each taking all.
#pragma once

#include <cstdint>

#include "client/client_config.h"

namespace tributary::client {

struct Launched {
  std::int64_t tasks = 1;      // that srun or mpiexec starts on each node
  std::int64_t processes = 1;  // on each node, with those that torchrun makes of a task
};

// By the options of srun, of the mpiexec of MPICH, Cray and Open MPI, and of torchrun that say a
// number; one task and one process where none does.
Launched CountLaunched(const JobSection& job);

// For each process: its share of the job's CPUs.
std::int64_t ThreadsOf(const JobSection& job);

}  // namespace tributary::client
