#!/usr/bin/env bash
# Builds Debian packages of the programs: tributary, tributary-server, tributary-client, tributary-trainer. They fit the release
# of Debian that they are built on.
#   deploy/build-packages.sh [--to DIRECTORY]     default: build/packages
# DEBFULLNAME and DEBEMAIL name the packages' maintainer.
set -euo pipefail
from=$PWD
cd "$(dirname "$0")/.."
. deploy/steps.sh

to=build/packages
case ${1-} in
  '') ;;
  --to) to=${2:?"usage: $0 [--to DIRECTORY]"} ;;
  *) echo "usage: $0 [--to DIRECTORY]" >&2; exit 2 ;;
esac
case $to in build/packages | /*) ;; *) to=$from/$to ;; esac

step "packages that the build needs"
packages --packaging
step "the programs (log: build/logs/build.log)"
run build/logs/configure.log cmake --preset release
run build/logs/build.log cmake --build --preset release --target programs descriptions
step "Debian packages"
rm -rf build/release/packages
run build/logs/packages.log cpack --config build/release/CPackConfig.cmake
mkdir -p "$to"
cp build/release/packages/*.deb "$to"
ls -l "$to"/*.deb
time_table
