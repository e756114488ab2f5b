#!/usr/bin/env bash
# The container images of deploy/containers/Containerfile, built by Buildah of the committed tree on a base image made here, and a
# federation of them: a server, three sites that run the image's trainer, one campaign, everything restarted once in between.
#   containers.sh
# Needs root, buildah and mmdebstrap, the network, and about 15 GB in TMPDIR. CCACHE_DIR, where set, serves the builds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
[ "$(id -u)" = 0 ] || { echo "$0: run as root: it makes images" >&2; exit 77; }
for tool in buildah mmdebstrap; do
  command -v "$tool" >/dev/null || { echo "$0: needs $tool" >&2; exit 77; }
done
. "$here/federation.sh"
. "$here/booted_root.sh"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/tributary-containers-XXXXXX")
chmod 755 "$work"
export BUILDAH_ISOLATION=chroot
buildah() { command buildah --root "$work/storage" --runroot "$work/run" "$@"; }
finish() {
  stop_all
  buildah rm --all >/dev/null 2>&1 || true
  umount -l "$work"/storage/overlay/*/merged "$work/storage/overlay" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT

say "base image"
make_root 13 "$work/base"
base=$(buildah from scratch)
buildah add --quiet "$base" "$work/base" / >/dev/null
buildah commit --quiet --rm "$base" tributary-base >/dev/null
rm -rf --one-file-system "$work/base"

say "images"
mkdir "$work/source"
git -C "$tree" archive HEAD | tar -x -C "$work/source"
for target in server client; do
  buildah bud --layers --build-arg BASE=localhost/tributary-base --target "$target" -t "tributary-$target" \
    ${CCACHE_DIR:+--volume "$CCACHE_DIR:/root/.cache/ccache"} -f "$work/source/deploy/containers/Containerfile" \
    "$work/source" >"$work/$target-build.log" 2>&1 || { tail -n 40 "$work/$target-build.log" >&2; fail "image $target"; }
done
buildah images --format '  {{.Name}} {{.Size}}' | grep tributary-

# As their users run them: what they write is in volumes.
inside=/srv/tributary host=localhost server_user=65532 client_user=65532 trainer=/usr/local/bin/tributary-trainer
outside=$work/volume
install -d -m 0777 "$outside"
declare -A containers=()
for target in server client; do containers[$target]=$(buildah from "localhost/tributary-$target"); done
exec_in() {
  local image=client
  # The server's image has these two, and nothing else.
  case $1 in tributary-server | tributary) image=server ;; esac
  exec buildah --root "$work/storage" --runroot "$work/run" run --isolation chroot \
    --volume "$outside:$inside" --env HOME="$inside" ${user:+--user "$user:$user"} "${containers[$image]}" -- "$@"
}
make_material
[ "$material_rc" = 0 ] || { cat "$outside/check-trainer.log" >&2; fail "check-trainer"; }
tail -n 1 "$outside/check-trainer.log"
provision "$inside/fed"
start_all() {
  start 65532 "$outside/server.log" tributary-server --config "$inside/fed/server/server.yaml"
  await_line "$outside/server.log" "serving federation"
  local site
  for site in "$@"; do
    start 65532 "$outside/$site.log" tributary-client run --config "$inside/$site/client.yaml"
  done
}
start_all
for site in "${sites[@]}"; do make_site "$inside/fed/lead" "$site" "$inside/$site"; done
stop_all
: >"$outside/server.log"
start_all "${sites[@]}"
campaign "$inside/fed/lead" 3
as_user 65532 tributary --profile "$inside/fed/lead" watch first-try --timeout 5m | tail -n 3
as_user 65532 tributary --profile "$inside/fed/lead" export first-try --to "$inside/adapter"
[ -s "$outside/adapter/adapter_model.safetensors" ] || fail "no adapter"
say "all is well"
