#!/usr/bin/env bash
# Makes .venv from requirements.lock, with every extra but gpu and tpu. Quick when nothing changed.
# PYTHON chooses the interpreter (3.11, 3.12 or 3.13).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
stamp=.venv/.butterflyer-setup
wanted="$(cat requirements.lock pyproject.toml | cksum) $python"
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || {
  echo "error: $("$python" --version) will not do; set PYTHON to a Python 3.11, 3.12 or 3.13" >&2
  exit 1
}

echo "setup: installing requirements.lock into .venv"
uv=(uv)
# The uv of .venv itself, where that stands first in PATH, would be cleared away under its own feet.
if ! uv --version >/dev/null 2>&1 || [ "$(command -v uv)" -ef .venv/bin/uv ]; then
  # A private environment for uv: nothing is written to the system's Python.
  "$python" -m venv .venv-uv
  .venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv
  uv=(.venv-uv/bin/uv)
fi
"${uv[@]}" venv --quiet --clear --python "$python" .venv
# Compiled once: else the first command compiles what it imports, and where PYTHONDONTWRITEBYTECODE is set, each does,
# which takes 6 s of processor time for TensorFlow and 1 s for JAX.
"${uv[@]}" pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes -r requirements.lock
"${uv[@]}" pip install --quiet --python .venv/bin/python --no-deps --editable .
rm -rf .venv-uv
echo "$wanted" >"$stamp"
echo "setup: done; now type: source .venv/bin/activate && butterflyer doctor"
