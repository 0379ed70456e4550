"""The table of the answers to the photos of an evaluation."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from butterflyer_jax.evaluation import predictions
from butterflyer_jax.metrics.calibration import Calibration


def test_each_photo_has_its_group_and_no_column_hides_another(tmp_path: Path) -> None:
    scored = predictions.Predictions(
        labels=np.array([0, -1]),
        logits=np.array([[2.0, 0.0], [0.0, 3.0]], np.float32),
        refused=np.array([False, True]),
        photo_ids=["a.jpg", "b.jpg"],
        names=["Blue", "Red"],
        places=[("test", 0), ("test", 1)],
    )
    columns = {"species": ["x", "y"], "site": ["s", "t"]}
    file = tmp_path / "predictions.csv"
    predictions.write(file, scored, Calibration(step=1), ("Blue", "label"), columns, {"a.jpg": "burst 1"})
    first, second = csv.DictReader(file.open())
    assert [row["group"] for row in (first, second)] == ["burst 1", ""]
    assert [row["species"] for row in (first, second)] == ["Blue", "label"]
    assert [row["label"] for row in (first, second)] == ["Blue", "Red"]
    assert [row["species (slice)"] for row in (first, second)] == ["x", "y"]
    assert first["site"] == "s" and float(second["label (probability)"]) > 0.9
