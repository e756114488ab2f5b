#!/usr/bin/env bash
# From a clone to a running federation: installs packages, builds the programs, runs `tributary demo`.
# A second run skips what is done. Arguments go to the demo (see `tributary demo --help`).
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/steps.sh

step "1/3 packages (a few minutes on a fresh machine)"
packages
step "2/3 the programs, compiled (the first time; log: build/logs/build.log)"
# The build system decides what is out of date: a second run takes seconds.
run build/logs/configure.log cmake --preset release
run build/logs/build.log cmake --build --preset release --target programs
time_table
printf '\n== 3/3 tributary demo\n'
exec build/release/bin/tributary demo "$@"
