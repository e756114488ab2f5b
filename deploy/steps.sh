# shellcheck shell=bash
# Sourced by the scripts beside this file: named steps with their times, progress while a long command runs, and when
# one fails its own message first.
mkdir -p build/logs

step_name=
step_began=$SECONDS
step_times=()
script_began=$SECONDS

# clock SECONDS: as 4:07.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# step TITLE: ends the step before it, begins this one.
step() {
  end_step
  step_name=$1
  step_began=$SECONDS
  printf '\n== %s\n' "$1"
}

end_step() {
  [ -z "$step_name" ] || step_times+=("$((SECONDS - step_began)) $step_name")
  step_name=
}

# time_table: what took how long, and on what machine.
time_table() {
  end_step
  local entry
  printf '\n%7s  %s\n' min:s step
  for entry in "${step_times[@]}"; do
    printf '%7s  %s\n' "$(clock "${entry%% *}")" "${entry#* }"
  done
  printf '%7s  in all; %s cores, load %s, %s free on the disk\n' "$(clock $((SECONDS - script_began)))" "$(nproc)" \
    "$(cut -d' ' -f1 /proc/loadavg)" "$(df -h --output=avail . | tail -n 1 | tr -d ' ')"
}

# progress_in LOG: how far the command that writes LOG is, as "DONE TOTAL WHAT"; nothing where the log does not tell.
progress_in() {
  tail -c 16384 "$1" 2>/dev/null | tr '\r' '\n' | awk '
    /^\[[0-9]+\/[0-9]+\]/ { split(substr($1, 2), n, /[\/\]]/); found = n[1] " " n[2] " [" n[1] "/" n[2] "]" }
    /^ *[0-9]+\/[0-9]+ Test / { split($1, n, "/"); found = n[1] " " n[2] " test " n[1] " of " n[2] }
    /^dlstatus:/ { split($0, n, ":"); found = n[3] " 100 downloading, " int(n[3]) " %" }
    /^pmstatus:/ { split($0, n, ":"); found = n[3] " 100 installing, " int(n[3]) " %" }
    END { print found }'
}

# show_progress LOG: until killed; one line that is redrawn in a terminal, else a line every 15 seconds.
show_progress() {
  local began=$SECONDS last=none now line rest interval=15
  [ -t 1 ] && interval=1
  while sleep "$interval" && kill -0 $$ 2>/dev/null; do  # Ctrl-C ends the script, but nothing in the background
    now=$(progress_in "$1")
    line="   $(clock $((SECONDS - began))) passed"
    if [ -n "$now" ]; then
      rest=$(awk -v t=$((SECONDS - began)) '{ if ($1 > 0 && $2 > $1) printf "%d", t * ($2 - $1) / $1 }' <<<"$now")
      line="   $(cut -d' ' -f3- <<<"$now"), $(clock $((SECONDS - began))) passed"
      [ -z "$rest" ] || line+=", about $(clock "$rest") left"
    fi
    if [ -t 1 ]; then
      printf '\r\033[2K%s' "$line"
    elif [ "$now" != "$last" ] || [ -z "$now" ]; then
      printf '%s\n' "$line"
    fi
    last=$now
  done
}

# explain LOG: what the command that wrote LOG says of its failure.
explain() {
  if grep -q '^FAILED: ' "$1"; then  # Ninja; the line after it is the command, and long
    awk '/^FAILED: / { on = 1; print; getline; next } /^\[[0-9]+\/[0-9]+\]|^ninja: build stopped/ { on = 0 } on' "$1" | head -n 60
  elif grep -q '^CMake Error' "$1"; then
    sed -n '/^CMake Error/,$p' "$1" | head -n 30
  elif grep -q 'tests failed out of' "$1"; then  # ctest: the output of what failed, then the list
    awk '/\*\*\*(Failed|Timeout|Exception|Not Run)/ { on = 1; lines = 0; print; next }
         /^ +Start +[0-9]+:|^ *[0-9]+\/[0-9]+ Test / { on = 0 } /tests failed out of/ { on = 1; lines = 0 }
         /^\[(==========|----------| RUN      |       OK )\]/ { next }  # of GoogleTest: what went well
         on && ++lines <= 60' "$1" | tail -n 300
  elif grep -q '^E: ' "$1"; then
    grep '^E: ' "$1"
  else
    grep -v '^[dp][lm]status:' "$1" | tail -n 40
  fi
}

# packages ARGUMENT...: install-deps.sh with these; a password for sudo is asked for before the screen is in use.
packages() {
  if [ "$(id -u)" != 0 ] && [ -n "$(./deploy/install-deps.sh --missing "$@")" ]; then
    command -v sudo >/dev/null && sudo -v
  fi
  APT_STATUS_LINES=1 run build/logs/install.log ./deploy/install-deps.sh "$@"
}

# run LOG COMMAND...: the command's output into LOG, and its progress on the screen. A failure ends the script.
run() {
  local log=$1 watcher status=0
  shift
  : >"$log"
  show_progress "$log" &
  watcher=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$watcher" 2>/dev/null
  wait "$watcher" 2>/dev/null || true
  [ ! -t 1 ] || printf '\r\033[2K'
  [ "$status" != 0 ] || return 0
  explain "$log" >&2
  printf '\nfailed: %s (exit code %s); its whole output is in %s\n' "$*" "$status" "$log" >&2
  exit 1
}
