// What the process computes with: threads and the BLAS library that LibTorch was linked to.
#pragma once

#include <cstdint>
#include <string>

namespace tributary::trainer {

struct Runtime {
  std::string torch_version;
  std::string blas;  // "OpenBLAS 0.3.21 (OpenMP)", or the library's path
  bool blas_is_fast =
      false;  // OpenBLAS with OpenMP: others are several times slower or ignore the thread count
  std::int64_t threads = 0;
};

// Threads for a request of 0: the processors this process may run on.
std::int64_t ResolveThreads(std::int64_t requested);

// Sets LibTorch's threads. Call before the first operation.
void SetThreads(std::int64_t threads);

// Makes threads that wait for their team sleep instead of spin: where other processes share the
// processors, spinning made training with two threads 20 times slower. libgomp reads this setting
// before main(), so the program is restarted in place, once, with the same arguments. Returns where
// nothing is to be done: one thread, or a setting of the user's own.
void RestartWithoutSpinning(std::int64_t threads, char** argv);

Runtime DescribeRuntime();
std::string RuntimeText(const Runtime& runtime);

// What to do about a slow BLAS; empty when it is fast.
std::string RuntimeWarning(const Runtime& runtime);

}  // namespace tributary::trainer
