// fuzz_seeds DIRECTORY: writes the seeds of every target into DIRECTORY/<target>/.
#include <cstdio>

#include "core/files.h"
#include "tests/fuzz/fuzz_targets.h"

namespace {

tributary::Status WriteSeeds(const std::string& directory) {
  for (const tributary::FuzzTarget& target : tributary::FuzzTargets()) {
    const std::string folder = tributary::JoinPath(directory, target.name);
    TRIBUTARY_RETURN_IF_ERROR(tributary::MakeDirectories(folder));
    int number = 0;
    for (const std::string& seed : target.seeds()) {
      TRIBUTARY_RETURN_IF_ERROR(tributary::WriteFileAtomic(
          tributary::JoinPath(folder, "seed-" + std::to_string(number++)), seed));
    }
  }
  return tributary::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds DIRECTORY\n");
    return 2;
  }
  const tributary::Status status = WriteSeeds(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "fuzz_seeds: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
