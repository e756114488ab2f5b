#!/usr/bin/env bash
# Installs the Debian packages that Tributary needs (Debian 12 and 13; as root or with sudo).
#   --dev        also what tests, sanitizers, fuzzing and formatting need
#   --packaging  also what Debian packages are made with
#   --missing    only prints what would be installed
# With APT_STATUS_LINES=1 apt's machine-readable progress is among the output.
set -euo pipefail

dev=0
packaging=0
only_list=0
for argument in "$@"; do
  case $argument in
    --dev) dev=1 ;;
    --packaging) packaging=1 ;;
    --missing) only_list=1 ;;
    *) echo "usage: $0 [--dev] [--packaging] [--missing]" >&2; exit 2 ;;
  esac
done

packages=(
  g++ cmake ninja-build pkg-config ccache mold                             # build
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libc-ares-dev  # the wire, and names of hosts
  libssl-dev libyaml-cpp-dev libspdlog-dev libsqlite3-dev nlohmann-json3-dev libcli11-dev
  libzstd-dev                                                              # libcrypto's archive needs it on Debian 13
  libeigen3-dev                                                            # the low-rank core of aggregators/
  libpcre2-dev                                                             # expressions over names, tokenizers
  libtorch-dev libgloo-dev libopenblas0-openmp                             # the trainer, and its BLAS
  libutf8proc-dev                                                          # its tokenizers
  wordnet-base python3-venv                                                # the demonstration: its data, and a real model
)
if [ "$dev" = 1 ]; then
  packages+=(git libgtest-dev libgmock-dev clang clang-format clang-tidy llvm openssl procps)
  packages+=(python3-torch python3-packaging)  # what the trainer is compared with, and what doctor compares versions with
  packages+=(slurmctld slurmd slurm-client munge slurmdbd mariadb-server-core)  # a Slurm cluster for the tests
fi
[ "$packaging" = 0 ] || packages+=(dpkg-dev file git)

# The sanitizer and fuzzer runtimes of the distribution's default Clang; nothing before its lists of packages are there.
clang_runtime() {
  local major
  major=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1) || true
  [ -z "$major" ] || echo "libclang-rt-$major-dev"
}

# Into `missing`: what is not installed.
look() {
  local package
  missing=()
  for package in "${packages[@]}" $([ "$dev" = 0 ] || clang_runtime); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
}

missing=()
look
if [ "$only_list" = 1 ]; then
  echo "${missing[*]}"
  exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "$0: run as root, or install sudo" >&2; exit 1; }
  as_root=(sudo)
fi

if [ "${#missing[@]}" -gt 0 ]; then
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  look
  echo "installing ${#missing[@]} packages: ${missing[*]}"
  # The tests start their own Slurm; Debian's packages must not start one.
  policy=/usr/sbin/policy-rc.d
  if [ "$dev" = 1 ] && [ ! -e "$policy" ]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    ${APT_STATUS_LINES:+-o APT::Status-Fd=1} --no-install-recommends "${missing[@]}"
else
  echo "all ${#packages[@]} packages are installed"
fi

# LibTorch uses whatever provides libblas.so.3; the other providers are 1.6 to 17 times slower (docs/adr/0004-dependencies.md).
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -dumpmachine)
for name in libblas.so.3 liblapack.so.3; do
  path=/usr/lib/$multiarch/openblas-openmp/$name
  if [ -e "$path" ] && [ "$(readlink -f "/etc/alternatives/$name-$multiarch")" != "$(readlink -f "$path")" ]; then
    "${as_root[@]}" update-alternatives --set "$name-$multiarch" "$path"
  fi
done
