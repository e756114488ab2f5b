#!/usr/bin/env bash
# The wheel for 64-bit Arm, each program under qemu: a federation of three sites and a campaign. The trainer is this machine's.
#   arm64.sh WHEEL TRAINER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wheel=$(realpath "${1:?"usage: $0 WHEEL TRAINER"}") trainer=$(realpath "${2:?"usage: $0 WHEEL TRAINER"}")
emulator=$(command -v qemu-aarch64-static) || { echo "$0: needs qemu-user-static" >&2; exit 77; }
. "$here/federation.sh"

outside=$(mktemp -d /var/tmp/tributary-arm64-XXXXXX)
inside=$outside host=localhost server_user='' client_user=''
trap 'stop_all; rm -rf "$outside"' EXIT
python3 -m zipfile -e "$wheel" "$outside/unpacked"
mkdir -p "$outside/environment"
mv "$outside"/unpacked/*.data/scripts "$outside/environment/bin"
mv "$outside"/unpacked/*.data/data/share "$outside/environment/share"
chmod +x "$outside"/environment/bin/*
for program in tributary tributary-client tributary-server; do
  readelf -h "$outside/environment/bin/$program" | grep -q 'Machine: *AArch64' || fail "$program is not for 64-bit Arm"
  ! readelf -l "$outside/environment/bin/$program" | grep -q INTERP || fail "$program is not static"
done

exec_in() {
  local program=$1
  shift
  exec env -i HOME="$outside" PATH=/usr/bin:/bin "$emulator" "$outside/environment/bin/$program" "$@"
}
run tributary --version
make_material
provision "$inside/fed"
start '' "$outside/server.log" tributary-server --config "$inside/fed/server/server.yaml"
await_line "$outside/server.log" "serving federation"
for site in "${sites[@]}"; do
  make_site "$inside/fed/lead" "$site" "$inside/$site"
  start '' "$outside/$site.log" tributary-client run --config "$inside/$site/client.yaml"
done
campaign "$inside/fed/lead" 3
run tributary --profile "$inside/fed/lead" watch first-try --timeout 5m | tail -n 3
run tributary --profile "$inside/fed/lead" export first-try --to "$inside/adapter"
[ -s "$outside/adapter/adapter_model.safetensors" ] || fail "no adapter"
say "all is well"
