#!/usr/bin/env bash
# From a clone to a running federation: installs packages, builds a release, runs `tributary demo`.
# A second run skips what is done. Arguments go to the demo (see `tributary demo --help`).
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/logs

step() { printf '\n== %s\n' "$*"; }
# run LOG COMMAND...: output into the log; its end is shown when the command fails.
run() {
  local log=$1
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "failed: $*; the whole output is in $log" >&2
    exit 1
  fi
}

step "1/3 packages (2 to 5 minutes on a fresh machine; log: build/logs/install.log)"
run build/logs/install.log ./deploy/install-deps.sh
step "2/3 release build (10 to 15 minutes on two cores the first time; log: build/logs/build.log)"
# The build system decides what is out of date: a second run takes seconds.
run build/logs/build.log cmake --preset release
run build/logs/build.log cmake --build --preset release
step "3/3 tributary demo (at most 10 minutes; at most 5 once the base model is cached)"
exec build/release/bin/tributary demo "$@"
