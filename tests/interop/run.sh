#!/usr/bin/env bash
# run.sh DIR SCRIPT ARGUMENT...: a test script in the environment that make-environment.sh made.
set -euo pipefail
directory=$1
shift
[ -e "$directory/made-from.txt" ] || { echo "skipped: there is no Python environment in $directory"; exit 77; }
# Two threads as the trainer's; no model hub.
export OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export PYTHONDONTWRITEBYTECODE=1
exec "$directory/bin/python" "$@"
