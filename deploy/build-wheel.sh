#!/usr/bin/env bash
# Builds the portable programs and a wheel of them: tributary, tributary-client, tributary-server, the trainers in Python,
# the sites' files and the manual pages. What it installs runs on any Linux of this machine's architecture.
#   deploy/build-wheel.sh [--to DIRECTORY]        default: build/wheel
set -euo pipefail
from=$PWD
cd "$(dirname "$0")/.."
. deploy/steps.sh

to=build/wheel
case ${1-} in
  '') ;;
  --to) to=${2:?"usage: $0 [--to DIRECTORY]"} ;;
  *) echo "usage: $0 [--to DIRECTORY]" >&2; exit 2 ;;
esac

case $to in build/wheel | /*) ;; *) to=$from/$to ;; esac

step "packages"
packages
step "portable programs (log: build/logs/portable-build.log)"
run build/logs/portable-configure.log cmake --preset portable
run build/logs/portable-build.log cmake --build --preset portable
step "wheel"
tree=build/portable/wheel-tree
rm -rf "$tree"
for component in cli client server; do
  run build/logs/portable-install.log cmake --install build/portable --strip --prefix "$tree" --component "$component"
done
mkdir -p "$to"
version=$(sed -n 's/^project(tributary VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)} \
  python3 deploy/packaging/wheel.py --tree "$tree" --version "$version" --platform "linux_$(uname -m)" \
  --license LICENSE --requirements configs/trainers/peft/requirements.txt --to "$to"
time_table
