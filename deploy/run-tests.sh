#!/usr/bin/env bash
# Installs, builds and runs every test:
#   1. everything, in the dev preset (unit, contract, integration, fault, slow);
#   2. unit and contract tests under the address and undefined-behaviour sanitizers (without Torch);
#   3. the fuzz targets, FUZZ_SECONDS each (default 10).
# Logs are in build/logs.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/logs

step() { printf '\n== %s (%s)\n' "$*" "$(date -u +%H:%M:%S)"; }
run() {
  local log=$1
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "failed: $*; the whole output is in $log" >&2
    exit 1
  fi
}

step "packages"
run build/logs/install.log ./deploy/install-deps.sh --dev
step "build, dev preset"
run build/logs/dev-configure.log cmake --preset dev
run build/logs/dev-build.log cmake --build --preset dev
run build/logs/dev-headers.log cmake --build --preset dev --target all_verify_interface_header_sets
step "all tests, dev preset"
ctest --test-dir build/dev --output-on-failure --no-tests=error -j2 2>&1 | tee build/logs/dev-tests.log | grep -v ' Passed ' | grep -v '  Start '
step "build, address and undefined-behaviour sanitizers"
run build/logs/asan-configure.log cmake --preset asan
run build/logs/asan-build.log cmake --build --preset asan
step "unit and contract tests under the sanitizers"
ctest --test-dir build/asan --output-on-failure --no-tests=error -j2 -L 'unit|contract' 2>&1 | tee build/logs/asan-tests.log | grep -v ' Passed ' | grep -v '  Start '
step "fuzz targets, ${FUZZ_SECONDS:-10} s each"
run build/logs/fuzz.log ./deploy/run-fuzzers.sh "${FUZZ_SECONDS:-10}"
step "all is well"
