#!/usr/bin/env bash
# Builds the portable programs and a wheel of them: tributary, tributary-client, tributary-server, the trainers in Python,
# the sites' files and the manual pages. What it installs runs on any Linux of this machine's architecture; with --arm64, which
# wants what build-arm64-wheel.sh prepares, of 64-bit Arm.
#   deploy/build-wheel.sh [--to DIRECTORY] [--arm64]        default: build/wheel
set -euo pipefail
from=$PWD
cd "$(dirname "$0")/.."
. deploy/steps.sh

to=build/wheel preset=portable platform=linux_$(uname -m)
while [ $# -gt 0 ]; do
  case $1 in
    --to) to=${2:?"usage: $0 [--to DIRECTORY] [--arm64]"}; shift ;;
    --arm64) preset=portable-arm64 platform=linux_aarch64 ;;
    *) echo "usage: $0 [--to DIRECTORY] [--arm64]" >&2; exit 2 ;;
  esac
  shift
done

case $to in build/wheel | /*) ;; *) to=$from/$to ;; esac

if [ "$preset" = portable ]; then
  step "packages"
  packages
fi
step "portable programs (log: build/logs/portable-build.log)"
run build/logs/portable-configure.log cmake --preset "$preset"
run build/logs/portable-build.log cmake --build --preset "$preset"
step "wheel"
tree=build/$preset/wheel-tree
rm -rf "$tree"
for component in cli client server; do
  run build/logs/portable-install.log cmake --install "build/$preset" --strip --prefix "$tree" --component "$component"
done
mkdir -p "$to"
version=$(sed -n 's/^project(tributary VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)} \
  python3 deploy/packaging/wheel.py --tree "$tree" --version "$version" --platform "$platform" \
  --license LICENSE --requirements configs/trainers/peft/requirements.txt --to "$to"
time_table
