"""LiteRT files, in float32 and in int8."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError, runs
from butterflyer_jax.export import verify
from butterflyer_jax.export.exporter import export
from butterflyer_jax.export.reader import ExportClassifier


def test_int8_is_calibrated_on_training_photos(trained_run: Path, tmp_path: Path) -> None:
    assert verify.choose_calibration(runs.read(trained_run)).shape == (36, 32, 32, 3)
    written = export(trained_run, "litert_int8", tmp_path)
    file = tmp_path / "model_int8.tflite"
    assert written.path == str(file)
    assert 1e-6 < written.card["check"]["largest_difference"] < 0.1
    assert ExportClassifier(file).image_size == 32
    whole = export(trained_run, "litert", tmp_path)
    assert whole.card["check"]["largest_difference"] < 1e-5
    assert whole.card["bytes"] > 2 * written.card["bytes"]


def test_int8_needs_the_photos(trained_run: Path, tmp_path: Path) -> None:
    gone = tmp_path / "run"
    gone.mkdir()
    config = json.loads((trained_run / "config.json").read_text()) | {"dataset": str(tmp_path / "gone")}
    (gone / "config.json").write_text(json.dumps(config))
    (gone / "checkpoints").symlink_to(trained_run / "checkpoints")
    with pytest.raises(UserError, match=r"int8 is calibrated on training photos, and .* take format litert"):
        export(gone, "litert_int8")
    assert not (gone / "export").exists() or not list((gone / "export").iterdir())
