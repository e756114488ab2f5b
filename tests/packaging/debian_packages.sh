#!/usr/bin/env bash
# The Debian packages in a bare root with a systemd of its own: installed; a federation and a campaign with the packaged trainer,
# the server and one site by their units, one site by an ordinary user's unit, one by hand. While the campaign runs the daemons
# are killed, the plug is pulled, and the packages are upgraded. Then they are purged; nothing of them is left. Last, lintian.
#   debian_packages.sh 12|13 PACKAGES [EARLIER_PACKAGES]     directories with the four .deb files, made on that release
# Needs root, mmdebstrap and the network.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
release=${1:?"usage: $0 12|13 PACKAGES [EARLIER_PACKAGES]"} packages=$(realpath "${2:?}") earlier=${3:+$(realpath "$3")}
[ "$(id -u)" = 0 ] || { echo "$0: run as root: it makes a root" >&2; exit 77; }
command -v mmdebstrap >/dev/null || { echo "$0: needs mmdebstrap" >&2; exit 77; }
. "$here/federation.sh"
. "$here/booted_root.sh"

root=$(mktemp -d "${TMPDIR:-/var/tmp}/tributary-debian-$release-XXXXXX")
chmod 755 "$root"
machine=''
finish() {
  [ -z "$machine" ] || pull_the_plug
  rm -rf --one-file-system "$root"
}
trap finish EXIT

say "bare root of Debian $release"
make_root "$release" "$root"
boot "$root"

install_from() {
  mkdir -p "$root/var/tmp/debs"
  rm -f "$root"/var/tmp/debs/*
  cp "$1"/*.deb "$root/var/tmp/debs/"
  in_root sh -c 'apt-get install -y -qq --no-install-recommends /var/tmp/debs/*.deb' >>"$root/var/tmp/install.log" 2>&1 ||
    { tail -n 30 "$root/var/tmp/install.log" >&2; fail "installation"; }
  in_root dpkg-query -W -f '  ${Package} ${Version}\n' 'tributary*'
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

property() { in_root systemctl show --property "$2" --value "$1"; }  # UNIT NAME
expect() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }               # WHAT IS SHOULD_BE
await() {                                                             # WHAT COMMAND...: until it succeeds, a minute at most
  local what=$1 i
  shift
  for ((i = 0; i < 300; ++i)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  in_root journalctl --no-pager -n 40 >&2 || true
  fail "$what"
}

say "installed"
install_from "${earlier:-$packages}"
for user in tributary tributary-client; do
  [ "$(in_root stat -c '%U %a' "/etc/$user" "/var/lib/$user" | sort -u)" = "$user 750" ] || fail "/etc/$user, /var/lib/$user"
done
for unit in tributary-server tributary-client; do
  expect "$unit after the installation" "$(in_root systemctl is-enabled $unit || true)" disabled
  in_root systemctl start $unit
  expect "$unit without a configuration" "$(in_root systemctl is-active $unit || true)" inactive
done

say "configured"
in_root useradd --create-home partner
inside=/srv/packaged outside=$root/srv/packaged host=localhost trainer=/usr/bin/tributary-trainer
server_user=tributary client_user=tributary-client
mkdir -p "$outside"
chmod 1777 "$outside"
exec_in() {
  # shellcheck disable=SC2086
  in_root ${user:+setpriv --reuid="$user" --regid="$user" --init-groups} env -u DEBIAN_FRONTEND HOME="$inside" "$@"
}
make_material
[ "$material_rc" = 0 ] || { cat "$outside/check-trainer.log" >&2; fail "check-trainer"; }
tail -n 1 "$outside/check-trainer.log"
chmod -R a+rX "$outside/material"  # made by a site, used by the lead
provision /etc/tributary --data-dir /var/lib/tributary
in_root systemctl enable --quiet --now tributary-server
await "the server serves" in_root sh -c 'journalctl -u tributary-server | grep -q "serving federation"'

make_site /etc/tributary/lead alpha /etc/tributary-client --state-dir /var/lib/tributary-client/state \
  --workspace /var/lib/tributary-client/work
in_root systemctl enable --quiet --now tributary-client

client_user=partner make_site /etc/tributary/lead beta /home/partner/tributary/site
partner() {
  in_root setpriv --reuid=partner --regid=partner --init-groups env HOME=/home/partner \
    XDG_RUNTIME_DIR="/run/user/$(in_root id -u partner)" "$@"
}
in_root loginctl enable-linger partner
await "the user's systemd" partner systemctl --user is-system-running
partner systemctl --user enable --quiet --now tributary-client

make_site /etc/tributary/lead gamma "$inside/gamma" --state-dir "$inside/gamma/state" --workspace "$inside/gamma/work"
start_gamma() {
  in_root systemd-run --quiet --unit gamma --uid tributary-client --property KillMode=process \
    tributary-client run --config "$inside/gamma/client.yaml"
}
start_gamma

say "a campaign"
campaign /etc/tributary/lead 12
shown() { as_user tributary tributary --profile /etc/tributary/lead show first-try; }
in_round() { [ "$(shown | sed -n '1s/.*, round \([0-9]*\) of.*/\1/p')" -ge "$1" ]; }
await "round 2" in_round 2

in_root systemctl kill --signal KILL tributary-server
in_root systemctl kill --signal KILL --kill-whom=main tributary-client
await "round 4, after the daemons were killed" in_round 4
expect "starts of the server by systemd" "$(property tributary-server NRestarts)" 1

pull_the_plug
boot "$root"
start_gamma
await "the server, after the plug was pulled" in_root systemctl is-active tributary-server
await "a site" in_root systemctl is-active tributary-client
await "the user's unit" partner systemctl --user is-active tributary-client
await "round 6, after the plug was pulled" in_round 6

if [ -n "$earlier" ]; then
  say "upgraded with the campaign running"
  before=$(property tributary-server MainPID)/$(property tributary-client MainPID)
  install_from "$packages"
  for unit in tributary-server tributary-client; do
    expect "$unit after the upgrade" "$(in_root systemctl is-active $unit || true)" active
  done
  [ "$before" != "$(property tributary-server MainPID)/$(property tributary-client MainPID)" ] || fail "nothing was restarted"
  partner systemctl --user restart tributary-client  # not the package's to touch
fi
as_user tributary tributary --profile /etc/tributary/lead watch first-try --timeout 10m >"$outside/watch.log" 2>&1 || true
shown | head -n 1 | tee "$outside/end"
grep -q '^campaign first-try: completed, round 12 of 12, version 12$' "$outside/end" || { shown; fail "the campaign did not complete"; }
as_user tributary tributary --profile /etc/tributary/lead export first-try --to "$inside/adapter"
[ -s "$outside/adapter/adapter_model.safetensors" ] || fail "no adapter"
in_root systemctl stop tributary-client tributary-server gamma
for unit in tributary-server tributary-client; do
  expect "$unit, stopped" "$(property $unit Result)" success
done

say "purged"
partner systemctl --user disable --quiet --now tributary-client
in_root loginctl disable-linger partner
in_root apt-get purge -y -qq tributary tributary-server tributary-client tributary-trainer >>"$root/var/tmp/install.log" 2>&1
in_root loginctl terminate-user partner || true
await "the user is gone" in_root userdel --remove partner
rm -rf "$outside"
in_root apt-get autoremove -y -qq --purge >>"$root/var/tmp/install.log" 2>&1
listing >"$root/var/tmp/after"
left=$(comm -13 "$root/var/tmp/before" "$root/var/tmp/after" | grep -i tributary || true)
[ -z "$left" ] || fail "left behind: $left"
# Dependencies may leave what is theirs (alternatives, users); ours may not.
left=$(comm -13 <(sort <<<"$users_before") <(sort "$root/etc/passwd" "$root/etc/group") | grep tributary || true)
[ -z "$left" ] || fail "users or groups are left: $left"
expect "units that failed" "$(in_root systemctl list-units --failed --no-legend 'tributary*' gamma.service)" ''

say "lintian"
in_root apt-get install -y -qq --no-install-recommends lintian >>"$root/var/tmp/install.log" 2>&1
in_root sh -c 'lintian --no-cfg --allow-root --fail-on error --tag-display-limit 0 /var/tmp/debs/*.deb' || fail "lintian"
say "all is well"
