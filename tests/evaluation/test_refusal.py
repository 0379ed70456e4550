"""The fit of a run's typicality."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import evaluate, runs
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data.build import build
from butterflyer_jax.evaluation import refusal
from butterflyer_jax.evaluation.eval_step import Scored
from butterflyer_jax.export.exporter import export
from butterflyer_jax.metrics import typicality
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.report import left_out
from tests.conftest import encode, folder_members, make_zip


def test_negatives_of_the_user_are_fitted_beside_drawn_ones(
    trained_run: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {f"background/{n}.jpg": encode(Image.new("RGB", (64, 56), (250, 20, 230))) for n in range(12)}
    config = BuildConfig(image_size=48, val_fraction=0.2, test_fraction=0.2, negatives="background/*")
    with_background = build(make_zip(tmp_path / "raw.zip", folder_members() | plain), tmp_path / "built", config)
    monkeypatch.setattr(typicality, "MIN_VAL", 5)
    monkeypatch.setattr(refusal, "NUM_NEGATIVES", 20)
    fit, seen = typicality.fit, []

    def fit_and_keep(*arguments: Any, **options: Any) -> Any:
        seen.append(arguments[2])
        return fit(*arguments, **options)

    monkeypatch.setattr(typicality, "fit", fit_and_keep)
    loaded = runs.load_model(runs.read(trained_run))
    for folder in (dataset, with_background):
        with contextlib.closing(dataset_lib.open_data(str(folder), loaded.config)) as data:
            assert refusal.fit(loaded, data, keep=False)
    without, with_them = seen
    assert (len(without), len(with_them)) == (20, 32)
    # Twelve times the same photo.
    np.testing.assert_allclose(with_them[20:], np.broadcast_to(with_them[20], (12, with_them.shape[1])), rtol=1e-5)


def test_a_rare_species_has_a_share_in_the_fit() -> None:
    labels = np.repeat(np.arange(3), [9000, 900, 8])
    order = np.random.default_rng(4).permutation(len(labels))
    chosen = refusal.some_of_each(labels, 500, np.random.default_rng(4))
    assert len(np.unique(chosen)) == 500
    assert np.bincount(labels[chosen]).tolist()[2] == refusal.MIN_OF_SPECIES
    assert set(chosen[labels[chosen] < 2]) <= set(order[:500])
    # Where each species has as many by chance, and where all fit, the order is the generator's own.
    for count, most in ((9900, 500), (len(labels), len(labels))):
        plain = np.random.default_rng(4).permutation(count)[:most]
        np.testing.assert_array_equal(refusal.some_of_each(labels[:count], most, np.random.default_rng(4)), plain)
    # More species than fit: one of each of these.
    many = np.repeat(np.arange(40), 10)
    assert len(np.unique(many[refusal.some_of_each(many, 30, np.random.default_rng(4))])) == 30


def test_features_from_the_cache_give_the_same_typicality(
    trained_run: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(typicality, "MIN_VAL", 5)
    monkeypatch.setattr(refusal, "NUM_NEGATIVES", 20)
    loaded = runs.load_model(runs.read(trained_run))
    look, looked = refusal.look_below, []

    def look_and_count(*arguments: Any) -> Any:
        inputs, features = look(*arguments)
        looked.append(len(features))
        return inputs, features

    monkeypatch.setattr(refusal, "look_below", look_and_count)
    found = []
    with contextlib.closing(dataset_lib.open_data(str(dataset), loaded.config)) as data:
        for reuse in (False, True, True):
            fitted = refusal.fit(loaded, data, keep=False, reuse=reuse)
            assert fitted
            found.append(fitted.to_bytes())
    assert found[0] == found[1] == found[2]
    # Training photos in two lights, negatives, val photos in four; the last time none.
    assert looked == [36 * 2, 20, 12 * 4] * 2


def scored(logits: np.ndarray, labels: Sequence[int]) -> Scored:
    return Scored(np.array(labels, np.int32), np.asarray(logits, np.float32), {})


def test_photos_whose_own_species_is_left_out_are_refused_as_those_of_another_would_be() -> None:
    calibrated = Calibration(threshold=0.6, count=20)
    # Sure of its own species each time; of the others, twice of one, and twice of none.
    logits = np.array([[9, 4, 0], [9, 0, 0.1], [0, 9, 5], [0.2, 0, 9]], np.float32)
    found = refusal.left_out(calibrated, None, scored(logits, [0, 0, 1, 2]), "val")
    assert found == {"split": "val", "count": 4, "refused": 2, "interval": wilson(2, 4)}
    assert not refusal.refused(calibrated, None, logits, None).any()
    # One species is left: it would have all of the probability.
    assert refusal.left_out(calibrated, None, scored(np.eye(2), [0, 1]), "val") is None


def test_a_run_says_that_other_species_are_not_refused(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the console, when it is fitted and when it is evaluated; in the report; and in the card of its export."""
    without = shutil.ignore_patterns("eval", "report", "export")
    run = Path(shutil.copytree(trained_run, tmp_path / "run", ignore=without))
    (run / "calibration.json").unlink()
    export(run, "safetensors")
    evaluate.main(["--run", str(run)])
    said = capsys.readouterr()
    metrics = json.loads((run / "eval" / "test" / "metrics.json").read_text())
    found = metrics["refusal"]["left_out"]
    assert found["split"] == "test" and found["count"] == metrics["count"]
    assert 2 * found["refused"] < found["count"]
    assert re.search(r"^other species: mostly not refused\. Of 12 val photos whose own species", said.err, re.MULTILINE)
    assert f"test: other species: mostly not refused. {left_out.measured(found)}. Check names by eye" in said.out
    page = (run / "report" / "index.html").read_text()
    assert "Most photos of other species may pass" in page and page.count(left_out.measured(found)) == 2
    [card] = (run / "export").rglob("*.md")
    assert f"- Other species: mostly not refused. {left_out.measured(found)}." in card.read_text()
    # It is said once when it is fitted.
    evaluate.main(["--run", str(run)])
    assert "val photos whose own species" not in capsys.readouterr().err


def test_a_measured_refusal_of_most_is_not_called_weak() -> None:
    found = {"split": "val", "count": 20, "refused": 10, "interval": wilson(10, 20)}
    assert not left_out.is_weak(found) and left_out.is_weak(found | {"refused": 9})
    assert left_out.verdict(found).startswith("other species: Of 20 val photos whose own species was left out")
