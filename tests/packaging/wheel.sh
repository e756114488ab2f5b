#!/usr/bin/env bash
# The wheel in a fresh environment: a federation of three sites by the three commands of docs/site_admin.md and
# docs/operator_guide.md (provision and the server; token and init; run), a campaign, the modulefile, and what pip removes again.
#   wheel.sh WHEEL TRAINER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wheel=${1:?"usage: $0 WHEEL TRAINER"} trainer=$(realpath "${2:?"usage: $0 WHEEL TRAINER"}")
. "$here/federation.sh"

outside=$(mktemp -d /var/tmp/tributary-wheel-XXXXXX)
inside=$outside host=localhost server_user='' client_user=''
trap 'stop_all; rm -rf "$outside"' EXIT
python3 -m venv "$outside/environment"
"$outside/environment/bin/pip" install --quiet --no-index "$wheel"

exec_in() {
  local program=$1
  shift
  exec env -i HOME="$outside" PATH=/usr/bin:/bin "$outside/environment/bin/$program" "$@"
}

start_campaign
run tributary --profile "$inside/fed/lead" watch first-try --timeout 2m | tail -n 3
run tributary --profile "$inside/fed/lead" export first-try --to "$inside/adapter"
[ -s "$outside/adapter/adapter_model.safetensors" ] || fail "no adapter"

for modules in /usr/share/lmod/lmod/init/bash /usr/share/modules/init/bash; do
  [ -e "$modules" ] || continue
  say "$modules"
  found=$(env -i HOME="$outside" PATH=/usr/bin:/bin bash -c "
    . $modules; module use $outside/environment/share/tributary/modulefiles; module load tributary; command -v tributary-client")
  [ "$found" = "$outside/environment/bin/tributary-client" ] || fail "the module leads to \"$found\""
done
stop_all
"$outside/environment/bin/pip" uninstall --quiet --yes tributary
left=$(cd "$outside/environment" && find . -path '*tributary*' -not -type d)
[ -z "$left" ] || fail "pip left $left"
say "all is well"
