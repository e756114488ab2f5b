// The trainer of the integration tests: waits while the file $GATE exists, adds one byte to
// $STARTS, takes $DELAY milliseconds, then trains a constant.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/files.h"
#include "tests/bench/constant_trainer.h"

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "version") == 0) return std::puts("constant_trainer 1") < 0;
  if (argc != 4 || std::strcmp(argv[2], "--task") != 0) return 2;
  const char* starts = std::getenv("STARTS");
  if (starts != nullptr) {
    const auto file = tributary::OpenFile(starts, O_WRONLY | O_CREAT | O_APPEND);
    if (!file.ok() || !tributary::WriteAll(file->get(), "x", 1).ok()) return 3;
  }
  const char* gate = std::getenv("GATE");
  while (gate != nullptr && tributary::PathExists(gate)) usleep(10'000);
  const char* delay = std::getenv("DELAY");  // milliseconds
  if (delay != nullptr) usleep(static_cast<useconds_t>(std::atoi(delay)) * 1000);
  const tributary::Status status = tributary::bench::TrainConstant(argv[3]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
