#!/usr/bin/env bash
# Installs, builds and runs every test:
#   1. all of them on the programs as users have them (the tree of quickstart.sh: preset `release`);
#   2. unit and contract tests under Clang's address and undefined-behaviour sanitizers (preset `check`, without Torch);
#   3. the fuzz targets of that build, FUZZ_SECONDS each (default 10);
#   4. what uses threads and no gRPC under Clang's thread sanitizer (preset `tsan`).
# Logs are in build/logs. Ends with a table of what took how long.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/steps.sh

before=()
# tests TREE LOG ARGUMENT...: ctest's output into LOG; what failed, and the counts, on the screen. Started by `before`.
tests() {
  local tree=$1 log=$2
  shift 2
  run "$log" "${before[@]}" ctest --test-dir "build/$tree" --output-on-failure --no-tests=error "$@"
  grep -E 'tests passed|tests failed|^Total Test time' "$log"
  sed -n '/The following tests did not run/,/^$/p' "$log"
}

step "packages"
packages --dev
step "build"
run build/logs/configure.log cmake --preset release -DTRIBUTARY_BUILD_TESTS=ON
run build/logs/build.log cmake --build --preset release
run build/logs/headers-build.log cmake --build --preset release --target all_verify_interface_header_sets
step "all tests"
# Many of them wait for other processes: one more than there are cores.
tests release build/logs/tests.log -j3
step "build with sanitizers"
run build/logs/check-configure.log cmake --preset check
run build/logs/check-build.log cmake --build --preset check --target check_tests fuzzers
step "unit and contract tests with sanitizers"
tests check build/logs/check-tests.log -j2 -L 'unit|contract'
step "fuzz targets, ${FUZZ_SECONDS:-10} s each"
run build/logs/fuzz.log ./deploy/run-fuzzers.sh "${FUZZ_SECONDS:-10}"
step "build with the thread sanitizer"
run build/logs/tsan-configure.log cmake --preset tsan
run build/logs/tsan-build.log cmake --build --preset tsan
step "tests with the thread sanitizer"
# Older ones refuse the address spaces that newer kernels make up at random.
if setarch -R true 2>/dev/null; then before=(setarch -R); fi
tests tsan build/logs/tsan-tests.log -j2 -L tsan
time_table
printf '\nall is well\n'
