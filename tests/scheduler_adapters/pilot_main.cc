// The pilot program of the tests: what `tributary-client pilot` is to a site.
#include <cstdio>
#include <cstring>

#include "scheduler_adapters/pilot_worker.h"

int main(int argc, char** argv) {
  if (argc != 5 || std::strcmp(argv[1], "--dir") != 0 || std::strcmp(argv[3], "--name") != 0) {
    std::fprintf(stderr, "usage: pilot_main --dir DIR --name NAME\n");
    return 2;
  }
  return tributary::scheduler_adapters::RunPilot(argv[2], argv[4]);
}
