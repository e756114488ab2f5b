#!/usr/bin/env bash
# make-environment.sh DIR: a Python environment in DIR with requirements.txt beside Debian's python3-torch.
# Exit code 77, with the reason, where it cannot be made: without the Debian package, without a package index.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$1
python=/usr/bin/python3

skip() { echo "skipped: $*"; exit 77; }
if cmp -s "$here/requirements.txt" "$directory/made-from.txt"; then exit 0; fi
"$python" -c 'import torch, numpy' 2>/dev/null || skip "$python has no torch (Debian package python3-torch)"
rm -rf "$directory"
"$python" -m venv --system-site-packages "$directory" || skip "no venv (Debian package python3-venv)"
if ! "$directory/bin/python" -m pip install --quiet --no-deps --no-input --retries 1 --timeout 60 \
  -r "$here/requirements.txt" >"$directory/pip.log" 2>&1; then
  tail -n 5 "$directory/pip.log"
  skip "the Python package index gave no packages; the whole output is in $directory/pip.log"
fi
"$directory/bin/python" -c 'import torch, transformers, peft, tokenizers, safetensors, sentencepiece'
cp "$here/requirements.txt" "$directory/made-from.txt"
