#!/usr/bin/env bash
# Builds what is installed, and tries it as it is installed:
#   run.sh                        all of it, by ctest (label packaging)
#   run.sh empty_root|wheel|debian_packages|arm64|containers      one of them
# As root: roots are changed and made. BASE_ROOT: another distribution's root for empty_root.sh. EARLIER_PACKAGES: a directory of an
# earlier commit's packages, to upgrade from; without it the packages of the commit before this one are built in a clone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
cd "$tree"
release=$(cut -d. -f1 /etc/debian_version)
shopt -s inherit_errexit
rm -rf build/packages build/wheel  # what an earlier commit left there
export DEBFULLNAME=${DEBFULLNAME-Tributary} DEBEMAIL=${DEBEMAIL-packages@tributary.example.org}

portable_programs() {
  ./deploy/build-wheel.sh
  cmake --preset portable -DTRIBUTARY_BUILD_TESTS=ON >/dev/null
  cmake --build --preset portable --target constant_trainer
}

earlier_packages() {
  [ -n "${EARLIER_PACKAGES-}" ] && { echo "$EARLIER_PACKAGES"; return; }
  local clone=build/earlier
  rm -rf "$clone"
  git clone --quiet . "$clone"
  git -C "$clone" checkout --quiet HEAD~1
  [ -x "$clone/deploy/build-packages.sh" ] || { echo "the commit before makes no packages" >&2; exit 77; }
  "$clone/deploy/build-packages.sh" >&2
  echo "$tree/$clone/build/packages"
}

case ${1-all} in
  all) exec ctest --test-dir build/release -C Packaging -L packaging --output-on-failure --no-tests=error ;;
  empty_root)
    portable_programs
    "$here/empty_root.sh" build/portable ${BASE_ROOT-} ;;
  wheel)
    portable_programs
    "$here/wheel.sh" build/wheel/tributary-*_"$(uname -m)".whl build/portable/tests/constant_trainer ;;
  debian_packages)
    earlier=$(earlier_packages)
    ./deploy/build-packages.sh
    "$here/debian_packages.sh" "$release" build/packages $earlier ;;
  arm64)
    portable_programs
    ./deploy/build-arm64-wheel.sh
    "$here/arm64.sh" build/wheel/tributary-*aarch64.whl build/portable/tests/constant_trainer ;;
  containers)
    "$here/containers.sh" ;;
  *) echo "usage: $0 [empty_root|wheel|debian_packages|arm64|containers]" >&2; exit 2 ;;
esac
