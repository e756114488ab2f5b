#!/usr/bin/env bash
# The portable programs in a root that has nothing but them, resolv.conf, hosts, /proc, /dev/null and a writable folder, as root and as a user
# without a line in passwd: a federation of three sites, joined by the server's name, and a campaign.
#   empty_root.sh PORTABLE_TREE [BASE_ROOT]      BASE_ROOT: a root of another distribution, copied, in the place of nothing
# PORTABLE_TREE: build/portable, with the target constant_trainer built. Needs root, for chroot.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=${1:?"usage: $0 PORTABLE_TREE [BASE_ROOT]"} base=${2-}
[ "$(id -u)" = 0 ] || { echo "$0: run as root: it changes the root" >&2; exit 77; }
. "$here/federation.sh"

root=$(mktemp -d /var/tmp/tributary-empty-XXXXXX)
chmod 755 "$root"
finish() {
  stop_all
  local process
  for process in /proc/[0-9]*; do  # jobs outlive their daemons
    [ "$(readlink "$process/root")" != "$root" ] || kill -KILL "${process#/proc/}"
  done 2>/dev/null || true
  umount "$root/proc" 2>/dev/null || umount -l "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap finish EXIT
bare=1
[ -z "$base" ] || bare=
[ -z "$base" ] || cp -a --one-file-system "$base/." "$root/"
mkdir -p "$root/etc" "$root/proc" "$root/dev" "$root/programs"
[ -e "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
cp "$tree"/bin/tributary{,-client,-server} "$tree/tests/constant_trainer" "$root/programs/"
strip "$root"/programs/*
cp /etc/resolv.conf "$root/etc/"
printf '127.0.0.1 localhost\n127.0.0.1 fed.packaged.test\n' >"$root/etc/hosts"
mount -t proc proc "$root/proc"
trainer=/programs/constant_trainer
host=fed.packaged.test

exec_in() {
  local program=$1
  shift
  exec env -i HOME="$inside" TMPDIR="$inside" /usr/sbin/chroot ${user:+--userspec="$user" --groups=} "$root" "/programs/$program" "$@"
}

for who in 0:0 54321:54321; do
  say "as $who"
  inside=/home-${who%:*} outside=$root/home-${who%:*}
  server_user=$who client_user=$who
  mkdir "$outside"
  chown "$who" "$outside"
  make_material
  provision "$inside/fed"
  start "$who" "$outside/server.log" tributary-server --config "$inside/fed/server/server.yaml"
  server=$started
  await_line "$outside/server.log" "serving federation"
  for site in "${sites[@]}"; do
    make_site "$inside/fed/lead" "$site" "$inside/$site" ${bare:+--no-doctor}
    # A trainer is looked at by a shell, which is not there.
    as_user "$who" tributary-client doctor --config "$inside/$site/client.yaml" >"$outside/doctor" || [ -n "$bare" ]
    [ -s "$outside/doctor" ] || fail "doctor says nothing"
    unexpected=$(grep '^FAILED' "$outside/doctor" | grep -v '^FAILED   trainer ' || true)
    [ -z "$unexpected" ] || fail "$unexpected"
    tail -n 1 "$outside/doctor"
    start "$who" "$outside/$site.log" tributary-client run --config "$inside/$site/client.yaml"
  done
  campaign "$inside/fed/lead" 3
  as_user "$who" tributary --profile "$inside/fed/lead" watch first-try --timeout 2m | tail -n 3
  as_user "$who" tributary --profile "$inside/fed/lead" export first-try --to "$inside/adapter"
  [ -s "$outside/adapter/adapter_model.safetensors" ] || fail "no adapter"
  kill -9 "$server"
  stop_all
done
say "all is well"
