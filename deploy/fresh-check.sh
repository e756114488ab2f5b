#!/usr/bin/env bash
# What a newcomer meets: a bare root of Debian (12, or the release given), the committed tree cloned into it, and the README's
# two commands run there by an ordinary user with sudo. Ends with the time of each, and fails when one of them does.
#   sudo deploy/fresh-check.sh [12|13] [--only quickstart|tests] [--keep] [-- DEMO ARGUMENT...]
# Needs root, Debian's mmdebstrap, and about 12 GB in TMPDIR. --keep leaves the root there and says where.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { echo "usage: deploy/fresh-check.sh [12|13] [--only quickstart|tests] [--keep] [-- DEMO ARGUMENT...]" >&2; exit 2; }
release=12 only=both keep=0
while [ $# -gt 0 ]; do
  case $1 in
    12 | 13) release=$1 ;;
    --only) only=${2-}; [[ $only =~ ^(quickstart|tests)$ ]] || usage; shift ;;
    --keep) keep=1 ;;
    --) shift; break ;;
    *) usage ;;
  esac
  shift
done
demo_arguments=${*:+$(printf ' %q' "$@")}
[ "$(id -u)" = 0 ] || { echo "$0: run as root: it makes a root file system" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "$0: needs Debian's package mmdebstrap" >&2; exit 1; }
declare -A suites=([12]=bookworm [13]=trixie)
suite=${suites[$release]}

root=$(mktemp -d "${TMPDIR:-/var/tmp}/tributary-fresh-$release-XXXXXX")
chmod 755 "$root"
forget() {
  if [ "$keep" = 1 ]; then echo "the root is kept in $root"; else rm -rf --one-file-system "$root"; fi
}
trap forget EXIT

# Packages come from where this machine gets its own.
mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 -E '/debian/?$' || true)
sources=()
[ -z "$mirror" ] || sources=("deb $mirror $suite main" "deb $mirror $suite-updates main")
began=$SECONDS
echo "== bare root of Debian $release in $root"
mmdebstrap --quiet --variant=minbase --include=sudo,git,ca-certificates "$suite" "$root" "${sources[@]}"
apt-config dump | grep -E '^Acquire::https?::' >"$root/etc/apt/apt.conf.d/90fresh-check" || true
for file in etc/resolv.conf etc/hosts etc/pip.conf etc/ssl/certs/ca-certificates.crt; do
  if [ -e "/$file" ]; then cp -L "/$file" "$root/$file"; fi
done
chroot "$root" useradd --create-home --shell /bin/bash newcomer
echo 'newcomer ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/newcomer"
git clone --quiet --no-hardlinks . "$root/home/newcomer/tributary"
chroot "$root" chown -R newcomer: /home/newcomer/tributary
made=$((SECONDS - began))

# as_newcomer COMMAND: in the clone, with a process tree, /proc and /dev of its own, whose first process waits for orphans as
# an init does; the environment is a login's.
as_newcomer() {
  unshare --mount --pid --fork --kill-child bash -c '
    set -e
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
    mkdir -p "$1/dev/pts" && mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
    chroot "$1" su - newcomer -c "cd tributary && $2"
    exit' fresh-check "$root" "$1" </dev/null
}

status=0
report=("$made bare root")
for command in quickstart run-tests; do
  [ "$only" = both ] || [[ $command == *"$only"* ]] || continue
  line="./deploy/$command.sh"
  [ "$command" = run-tests ] || line+=$demo_arguments
  echo "== $line"
  began=$SECONDS
  outcome="succeeded"
  as_newcomer "$line" || { outcome="FAILED (exit code $?)"; status=1; }
  report+=("$((SECONDS - began)) $line $outcome")
done

printf '\nDebian %s, %s:\n' "$release" "$(git rev-parse --short HEAD)"
for entry in "${report[@]}"; do printf '%5d s  %s\n' "${entry%% *}" "${entry#* }"; done
exit "$status"
