#!/usr/bin/env bash
# The wheel for 64-bit Arm, its programs run by qemu: a federation of three sites, and a campaign up to its first jobs. The
# trainer is this machine's.
#   arm64.sh WHEEL TRAINER
# Needs qemu-user-static, and root where the kernel has not been told to run such programs by it (binfmt_misc).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wheel=$(realpath "${1:?"usage: $0 WHEEL TRAINER"}") trainer=$(realpath "${2:?"usage: $0 WHEEL TRAINER"}")
outside=$(mktemp -d /var/tmp/tributary-arm64-XXXXXX)
binfmt=/proc/sys/fs/binfmt_misc mounted='' registered=''
finish() {
  stop_all
  rm -rf "$outside"
  [ -z "$registered" ] || echo -1 >$binfmt/qemu-aarch64
  [ -z "$mounted" ] || umount $binfmt
}
. "$here/federation.sh"
trap finish EXIT
if [ ! -e $binfmt/qemu-aarch64 ]; then
  [ -e $binfmt/register ] || { mount -t binfmt_misc binfmt_misc $binfmt || exit 77; mounted=1; }
  cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register || { echo "$0: needs qemu-user-static, and root" >&2; exit 77; }
  registered=1
fi

inside=$outside host=localhost server_user='' client_user=''
python3 -m zipfile -e "$wheel" "$outside/unpacked"
mkdir -p "$outside/environment"
mv "$outside"/unpacked/*.data/scripts "$outside/environment/bin"
mv "$outside"/unpacked/*.data/data/share "$outside/environment/share"
chmod +x "$outside"/environment/bin/*
for program in tributary tributary-client tributary-server; do
  headers=$(readelf -hl "$outside/environment/bin/$program")
  [[ $headers == *AArch64* ]] || fail "$program is not for 64-bit Arm"
  [[ $headers != *INTERP* ]] || fail "$program is not static"
done

exec_in() {
  local program=$1
  shift
  exec env -i HOME="$outside" PATH=/usr/bin:/bin "$outside/environment/bin/$program" "$@"
}
run tributary --version
start_campaign
# As far as qemu goes: it does not emulate what the supervisor of local jobs needs of the kernel. A task that has reached its site
# was offered, accepted, journaled at both ends and downloaded.
for site in "${sites[@]}"; do await_line "$outside/$site.log" "job submitted task=first-try.r1.$site.t1"; done
run tributary --profile "$inside/fed/lead" cancel first-try
run tributary --profile "$inside/fed/lead" show first-try | head -n 1 | tee "$outside/end"
grep -q '^campaign first-try: cancelled' "$outside/end" || fail "the campaign was not cancelled"
say "all is well"
