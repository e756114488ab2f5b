#include "trainer/runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <sched.h>
#include <torch/version.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <thread>

namespace tributary::trainer {
namespace {

template <typename Function>
Function* FindSymbol(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

// Where the matrix product comes from, with the links of Debian's alternatives resolved.
std::string BlasPath() {
  Dl_info info = {};
  void* symbol = dlsym(RTLD_DEFAULT, "sgemm_");
  if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr)
    return "unknown";
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(info.dli_fname, nullptr),
                                                         &std::free);
  return real != nullptr ? real.get() : info.dli_fname;
}

std::string OpenBlasVersion() {
  const auto config = FindSymbol<char*()>("openblas_get_config");
  if (config == nullptr) return "OpenBLAS";
  const std::string text = config();  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
  return text.substr(0, text.find(' ', text.find(' ') + 1));
}

}  // namespace

std::int64_t ResolveThreads(std::int64_t requested) {
  if (requested > 0) return requested;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
  return std::max(1U, std::thread::hardware_concurrency());
}

void SetThreads(std::int64_t threads) { at::set_num_threads(static_cast<int>(threads)); }

void RestartWithoutSpinning(std::int64_t threads, char** argv) {
  constexpr const char* kSpinCount = "GOMP_SPINCOUNT";
  if (threads == 1 || getenv(kSpinCount) != nullptr || getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv(kSpinCount, "100",
         1);  // what libgomp itself takes when it has more threads than processors
  execv("/proc/self/exe", argv);
  // Without /proc: go on as we are, only slower.
}

Runtime DescribeRuntime() {
  constexpr int kParallelOpenMp = 2;  // OPENBLAS_OPENMP of cblas.h
  Runtime runtime;
  runtime.torch_version = TORCH_VERSION;
  runtime.threads = at::get_num_threads();
  runtime.blas = BlasPath();
  if (const auto parallel = FindSymbol<int()>("openblas_get_parallel")) {
    runtime.blas_is_fast = parallel() == kParallelOpenMp;
    const char* kind = runtime.blas_is_fast ? "OpenMP" : parallel() == 1 ? "pthread" : "serial";
    runtime.blas = OpenBlasVersion() + " (" + kind + ", " + runtime.blas + ")";
  }
  return runtime;
}

std::string RuntimeText(const Runtime& runtime) {
  return "LibTorch " + runtime.torch_version + ", BLAS " + runtime.blas + ", " +
         std::to_string(runtime.threads) + (runtime.threads == 1 ? " thread" : " threads");
}

std::string RuntimeWarning(const Runtime& runtime) {
  if (runtime.blas_is_fast) return "";
  return "the BLAS in use makes training several times slower than it can be; on Debian: apt "
         "install "
         "libopenblas0-openmp, then update-alternatives --config libblas.so.3-x86_64-linux-gnu";
}

}  // namespace tributary::trainer
