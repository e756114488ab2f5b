#!/usr/bin/env bash
# Builds the fuzz targets with Clang and runs each for SECONDS (default 20) from its seeds. Inputs that it finds
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
for target in "$corpus"/*/; do
  name=$(basename "$target")
  echo "fuzzing $name for $seconds s"
  if ! "build/check/fuzz/${name}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
      -print_final_stats=1 -artifact_prefix="$found/$name-" "$target" >"$corpus/$name.log" 2>&1; then
    tail -n 60 "$corpus/$name.log" >&2
    echo "$name: failed; the input is in $found" >&2
    exit 1
  fi
  grep -E 'stat::(number_of_executed_units|new_units_added|peak_rss_mb)' "$corpus/$name.log" | sed "s/^stat::/  /"
done
