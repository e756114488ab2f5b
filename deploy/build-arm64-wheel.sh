#!/usr/bin/env bash
# Builds the wheel for 64-bit Arm (Grace nodes, say) on an amd64 machine: Debian's cross compiler and arm64 archives, in a root of
# its own, because packages of two architectures do not all go beside each other. Of the committed tree.
#   sudo deploy/build-arm64-wheel.sh [--to DIRECTORY]        default: build/wheel
# Needs root, Debian's mmdebstrap, and about 4 GB in TMPDIR.
set -euo pipefail
from=$PWD
cd "$(dirname "$0")/.."
. deploy/steps.sh

usage() { echo "usage: deploy/build-arm64-wheel.sh [--to DIRECTORY]" >&2; exit 2; }
to=build/wheel
case ${1-} in
  '') ;;
  --to) to=${2-}; [ -n "$to" ] || usage ;;
  *) usage ;;
esac
case $to in build/wheel | /*) ;; *) to=$from/$to ;; esac
[ "$(id -u)" = 0 ] || { echo "$0: run as root: it makes a root file system" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "$0: needs Debian's package mmdebstrap" >&2; exit 1; }

root=$(mktemp -d "${TMPDIR:-/var/tmp}/tributary-arm64-XXXXXX")
chmod 755 "$root"
trap 'rm -rf --one-file-system "$root"' EXIT

step "root with a cross compiler"
here=(g++ g++-aarch64-linux-gnu cmake ninja-build ccache git ca-certificates pkg-config python3 qemu-user-static
      protobuf-compiler protobuf-compiler-grpc nlohmann-json3-dev libcli11-dev libeigen3-dev)
there=(libgrpc++-dev libprotobuf-dev libc-ares-dev libssl-dev libyaml-cpp-dev libspdlog-dev libsqlite3-dev libzstd-dev
       libpcre2-dev libutf8proc-dev)
list=$(IFS=,; echo "${here[*]},$(printf '%s:arm64,' "${there[@]}")")
mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 -E '/debian/?$' || true)
run build/logs/arm64-root.log mmdebstrap --quiet --variant=apt --architectures=amd64,arm64 --include="${list%,}" bookworm "$root" \
  ${mirror:+"deb $mirror bookworm main"}
step "programs and wheel"
git clone --quiet --no-hardlinks . "$root/src"
run build/logs/arm64-build.log chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" /src/deploy/build-wheel.sh --arm64
mkdir -p "$to"
cp "$root"/src/build/wheel/*.whl "$to/"
ls -l "$to"/*aarch64.whl
time_table
