#!/usr/bin/env bash
# From a fresh machine to green tests. Arguments go to pytest: scripts/test.sh -k split
# A file stays on one worker: what its tests share is made once. Files begin in the order of tests/conftest.py.
# A worker that dies ends the run, with the name of its test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 "$@"
