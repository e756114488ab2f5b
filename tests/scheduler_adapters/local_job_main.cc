// The supervisor program of the tests: what `tributary-client supervise` is to a site.
#include <cstdio>

#include "scheduler_adapters/local_supervisor.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: local_job_main JOB_DIRECTORY\n");
    return 2;
  }
  return tributary::scheduler_adapters::RunLocalJob(argv[1]);
}
