# shellcheck shell=bash
# Sourced by the tests beside it: a federation of three sites by the programs as people have them, one documented command after
# the other. Whoever sources it sets
#   outside, inside   a folder, as this script and as the programs see it
#   host              a name of this machine, as the programs look it up
#   exec_in           a function that becomes (exec) the program it is given, by its name
#   server_user, client_user   who runs them, for exec_in; may be empty
#   trainer           the trainer's program, as the sites see it
# The data and the model are made up; the trainer is real where the package under test has one.

sites=(alpha beta gamma)
daemons=()

say() { printf '== %s\n' "$*"; }
fail() { printf 'failed: %s\n' "$*" >&2; exit 1; }

# run PROGRAM ARGUMENT...; as_user USER PROGRAM ARGUMENT...
run() { (user=''; exec_in "$@"); }
as_user() { (user=$1; shift; exec_in "$@"); }

# start USER LOG PROGRAM ARGUMENT...: in the background; its process id in `started`.
start() {
  local log=$2
  (user=$1; shift 2; exec_in "$@") >>"$log" 2>&1 </dev/null &
  started=$!
  daemons+=("$started")
}

stop_all() {
  local pid
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${daemons[@]}"; do wait "$pid" 2>/dev/null || true; done
  daemons=()
}

free_port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# provision DIRECTORY OPTION...: a federation, and its fingerprint in `fingerprint`.
provision() {
  local directory=$1 made
  shift
  port=$(free_port)
  made=$(as_user "$server_user" tributary --json provision --name packaged --host "$host" --listen 127.0.0.1 --port "$port" \
    --dir "$directory" "$@")
  fingerprint=$(sed -n 's/.*"ca_fingerprint": "\(.*\)".*/\1/p' <<<"$made")
  [[ $fingerprint == SHA256:* ]] || fail "no fingerprint: $made"
}

await_line() { # LOG WORDS
  local i
  for ((i = 0; i < 300; ++i)); do
    grep -q "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  cat "$1" >&2
  fail "no line with \"$2\" in $1"
}

# make_site PROFILE NAME DIRECTORY OPTION...: a token, and `init`, which ends with doctor.
make_site() {
  local profile=$1 name=$2 directory=$3 token
  shift 3
  token=$(as_user "$server_user" tributary --profile "$profile" --json token --name "$name" | sed -n 's/.*"token": "\(.*\)".*/\1/p')
  [ -n "$token" ] || fail "no token for $name"
  as_user "$client_user" tributary-client init --dir "$directory" --server "$host:$port" --ca-fingerprint "$fingerprint" \
    --token-file - --scheduler local --cpus 1 --model "base=$inside/material/model" --data "notes=$inside/material/data.jsonl" \
    --campaign first-try --lead lead "$@" -- "$trainer" <<<"$token" >"$outside/init-$name.log" 2>&1 ||
    { cat "$outside/init-$name.log" >&2; fail "init of $name"; }
  tail -n 1 "$outside/init-$name.log"
}

# campaign PROFILE ROUNDS: submits it; the lead has the model's config.json only.
campaign() {
  cat >"$outside/first-try.yaml" <<END
name: first-try
model:
  name: base
  config: material/model/config.json
data:
  train: notes
sites: [$(IFS=,; echo "${sites[*]}")]
training:
  steps: 2
pacing:
  rounds: $2
END
  as_user "$server_user" tributary --profile "$1" submit "$inside/first-try.yaml"
}

# The tree's own trainer or a made-up one leaves a model with a tokenizer, and data, wherever it is tried.
make_material() {
  material_rc=0  # a made-up trainer does not pass
  as_user "$client_user" tributary-client check-trainer --dir "$inside/material" "$@" -- "$trainer" \
    >"$outside/check-trainer.log" 2>&1 || material_rc=$?
  [ -e "$outside/material/model/config.json" ] || { cat "$outside/check-trainer.log"; fail "no material"; }
}

# start_campaign: a federation in $inside by the user who runs this, its three sites, and a campaign of three rounds.
start_campaign() {
  local site
  make_material
  provision "$inside/fed"
  start '' "$outside/server.log" tributary-server --config "$inside/fed/server/server.yaml"
  await_line "$outside/server.log" "serving federation"
  for site in "${sites[@]}"; do
    make_site "$inside/fed/lead" "$site" "$inside/$site"
    start '' "$outside/$site.log" tributary-client run --config "$inside/$site/client.yaml"
  done
  campaign "$inside/fed/lead" 3
}
