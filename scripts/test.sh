#!/usr/bin/env bash
# From a fresh machine to green tests. Arguments go to pytest: scripts/test.sh -k split
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
exec .venv/bin/python -m pytest -n 2 "$@"
