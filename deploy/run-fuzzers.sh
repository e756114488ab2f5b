#!/usr/bin/env bash
# Builds the fuzz targets with Clang and runs each for SECONDS (default 20) from its seeds, one on each core. Inputs that it finds
# are thrown away; one that breaks a promise is kept, and its path printed.
#   deploy/run-fuzzers.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: deploy/run-fuzzers.sh [SECONDS]" >&2
  exit 2
fi

cmake --preset check >/dev/null
cmake --build --preset check --target fuzzers

corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
found=build/check/found
mkdir -p "$found"
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"

build/check/fuzz/fuzz_seeds "$corpus"
failed=0

# fuzz NAME: until SECONDS have passed.
fuzz() {
  if ! "build/check/fuzz/$1_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
      -print_final_stats=1 -artifact_prefix="$found/$1-" "$corpus/$1" >"$corpus/$1.log" 2>&1; then
    tail -n 60 "$corpus/$1.log" >&2
    echo "$1: failed; the input is in $found" >&2
    return 1
  fi
  echo "fuzzed $1 for $seconds s"
  grep -E 'stat::(number_of_executed_units|new_units_added|peak_rss_mb)' "$corpus/$1.log" | sed "s/^stat::/  /"
}

# One for each core at a time.
running=0
for target in "$corpus"/*/; do
  if [ "$running" -ge "$(nproc)" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$(basename "$target")" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit "$failed"
