#!/usr/bin/env bash
# The Debian packages in a bare root: installed, a federation and a campaign with the packaged trainer, upgraded while it runs,
# purged; nothing of them is left. Then lintian.
#   debian_packages.sh 12|13 PACKAGES [EARLIER_PACKAGES]     directories with the four .deb files, made on that release
# Needs root, mmdebstrap and the network.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
release=${1:?"usage: $0 12|13 PACKAGES [EARLIER_PACKAGES]"} packages=$(realpath "${2:?}") earlier=${3:+$(realpath "$3")}
[ "$(id -u)" = 0 ] || { echo "$0: run as root: it makes a root" >&2; exit 77; }
command -v mmdebstrap >/dev/null || { echo "$0: needs mmdebstrap" >&2; exit 77; }
declare -A suites=([12]=bookworm [13]=trixie)
suite=${suites[$release]}
. "$here/federation.sh"

root=$(mktemp -d "${TMPDIR:-/var/tmp}/tributary-debian-$release-XXXXXX")
chmod 755 "$root"
finish() {
  stop_all
  umount "$root/proc" "$root/dev/shm" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap finish EXIT

say "bare root of Debian $release"
mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 -E '/debian/?$' || true)
sources=()
[ -z "$mirror" ] || sources=("deb $mirror $suite main" "deb $mirror $suite-updates main")
mmdebstrap --quiet --variant=minbase "$suite" "$root" "${sources[@]}"
apt-config dump | grep -E '^Acquire::https?::' >"$root/etc/apt/apt.conf.d/90check" || true
for file in etc/resolv.conf etc/ssl/certs/ca-certificates.crt; do
  [ ! -e "/$file" ] || { mkdir -p "$(dirname "$root/$file")"; cp -L "/$file" "$root/$file"; }
done
echo '127.0.0.1 localhost' >"$root/etc/hosts"
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm" && mount -t tmpfs tmpfs "$root/dev/shm"

in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
install_from() {
  mkdir -p "$root/var/tmp/debs"
  rm -f "$root"/var/tmp/debs/*
  cp "$1"/*.deb "$root/var/tmp/debs/"
  in_root sh -c 'apt-get install -y -qq --no-install-recommends /var/tmp/debs/*.deb' >>"$root/var/tmp/install.log" 2>&1 ||
    { tail -n 30 "$root/var/tmp/install.log" >&2; fail "installation"; }
}
# What is there, but for the records of apt and dpkg, caches, and what programs of ours were told to make.
listing() {
  in_root find / -xdev \( -path /proc -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/log \
    -o -path /var/tmp -o -path /tmp \) -prune -o -print | sort
}
in_root apt-get update -qq
# Dependencies first: they stay when our packages go, and are not ours to judge.
in_root sh -c 'apt-get install -y -qq --no-install-recommends adduser' >"$root/var/tmp/install.log" 2>&1
listing >"$root/var/tmp/before"
users_before=$(cat "$root/etc/passwd" "$root/etc/group")

say "installed"
install_from "${earlier:-$packages}"
in_root dpkg-query -W -f '  ${Package} ${Version}\n' 'tributary*'
for user in tributary tributary-client; do
  [ "$(in_root stat -c '%U %a' "/etc/$user" "/var/lib/$user" | sort -u)" = "$user 750" ] || fail "/etc/$user, /var/lib/$user"
done
[ -z "$(find "$root/etc/systemd/system" -name 'tributary*' 2>/dev/null)" ] || fail "a service is enabled by the installation"

# What the units do, by hand: there is no systemd in here.
inside=/srv/packaged outside=$root/srv/packaged host=localhost trainer=/usr/bin/tributary-trainer
server_user=tributary client_user=tributary-client
mkdir -p "$outside"
chmod 1777 "$outside"
exec_in() {
  exec chroot ${user:+--userspec="$user:$user" --groups="$user"} "$root" env -i PATH=/usr/bin:/bin HOME="$inside" LC_ALL=C.UTF-8 "$@"
}
make_material
tail -n 1 "$outside/check-trainer.log"
chmod -R a+rX "$outside/material"  # made by a site, used by the lead
provision /etc/tributary --data-dir /var/lib/tributary
[ -e "$root/etc/tributary/server/server.yaml" ] || fail "no server.yaml"
start_server() {
  start tributary "$outside/server.log" tributary-server --config /etc/tributary/server/server.yaml
  server=$started
}
start_clients() {
  clients=()
  for site in "${sites[@]}"; do
    start tributary-client "$outside/$site.log" tributary-client run --config "$inside/$site/client.yaml"
    clients+=("$started")
  done
}
start_server
await_line "$outside/server.log" "serving federation"
for site in "${sites[@]}"; do
  make_site /etc/tributary/lead "$site" "$inside/$site" --state-dir "$inside/$site/state" --workspace "$inside/$site/work"
done
start_clients
campaign /etc/tributary/lead 6
(as_user tributary tributary --profile /etc/tributary/lead watch first-try --timeout 10m || true) >"$outside/watch.log" 2>&1 &
watching=$!
await_line "$outside/watch.log" "round 2"

if [ -n "$earlier" ]; then
  say "upgraded with a campaign running"
  install_from "$packages"
  in_root dpkg-query -W -f '  ${Package} ${Version}\n' 'tributary*'
  # As deb-systemd-invoke try-restart would.
  kill "$server" "${clients[@]}"
  wait "$server" "${clients[@]}" || true
  start_server
  start_clients
fi
wait "$watching" || true
as_user tributary tributary --profile /etc/tributary/lead show first-try | head -n 1 | tee "$outside/end"
grep -q '^campaign first-try: completed, round 6 of 6, version 6$' "$outside/end" || fail "the campaign did not complete"
as_user tributary tributary --profile /etc/tributary/lead export first-try --to "$inside/adapter"
[ -s "$outside/adapter/adapter_model.safetensors" ] || fail "no adapter"
stop_all

say "purged"
in_root apt-get purge -y -qq tributary tributary-server tributary-client tributary-trainer >>"$root/var/tmp/install.log" 2>&1
rm -rf "$outside"
in_root apt-get autoremove -y -qq --purge >>"$root/var/tmp/install.log" 2>&1
listing >"$root/var/tmp/after"
left=$(comm -13 "$root/var/tmp/before" "$root/var/tmp/after" | grep -i tributary || true)
[ -z "$left" ] || fail "left behind: $left"
# Dependencies may leave what is theirs (alternatives, users); ours may not.
left=$(comm -13 <(sort <<<"$users_before") <(sort "$root/etc/passwd" "$root/etc/group") | grep tributary || true)
[ -z "$left" ] || fail "users or groups are left: $left"

say "lintian"
in_root apt-get install -y -qq --no-install-recommends lintian >>"$root/var/tmp/install.log" 2>&1
in_root sh -c 'lintian --no-cfg --allow-root --fail-on error --tag-display-limit 0 /var/tmp/debs/*.deb' || fail "lintian"
say "all is well"
