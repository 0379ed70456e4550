#!/usr/bin/env bash
# From a fresh machine to a trained, evaluated classifier of drawn butterflies; all of it lands in demo/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
source .venv/bin/activate

step() { echo; echo "== $1"; }
SECONDS=0

step "draw a raw zip of 8 invented species"
butterflyer synthetic --output demo/raw/butterflies.zip

step "build records"
# `tfds build` makes the same records, and starts later, as it imports Apache Beam.
records=$(butterflyer build --input demo/raw/butterflies.zip --output demo/data)
echo "$records"

step "train"
butterflyer train --config demo --input "$records" --output demo/run

step "evaluate on photos that the training never saw"
butterflyer evaluate --run demo/run --split test

step "name the butterfly on one photo"
python -m zipfile -e demo/raw/butterflies.zip demo/photos
butterflyer predict --run demo/run "demo/photos/butterflies/Pennant Swordtail/0001.jpg"

echo
echo "demo done in $SECONDS s: the run is in demo/run, its metrics in demo/run/eval/test/metrics.json"
echo "look at the report: demo/run/report/index.html; the model for Keras is demo/run/export/model.keras"
echo "look at the data: $records/data_card.html"
echo "and at the application: .venv/bin/butterflyer app --run demo/run"
