#!/usr/bin/env bash
# Resolves the core and the extras for each supported platform and Python: every package must have a wheel there.
# Needs a package index; writes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv=${UV:-.venv/bin/uv}
platforms=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-pc-windows-msvc)
# Pure Python, and there as a source archive alone.
pure=(--no-binary promise --no-binary jsonpath-rw)
failed=0
for platform in "${platforms[@]}"; do
  for python in 3.11 3.12 3.13; do
    for extra in "" app all; do
      flags=()
      [ -z "$extra" ] || flags=(--extra "$extra")
      if resolved=$("$uv" pip compile --quiet --only-binary :all: "${pure[@]}" --python-platform "$platform" \
        --python-version "$python" "${flags[@]}" pyproject.toml 2>&1); then
        echo "$platform $python ${extra:-core}: $(grep -c == <<<"$resolved") packages"
      else
        echo "$platform $python ${extra:-core}: NOT RESOLVED"
        echo "$resolved" | head -5
        failed=1
      fi
    done
  done
done
exit $failed
