"""The fit of a run's typicality."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import runs
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data.build import build
from butterflyer_jax.evaluation import refusal
from butterflyer_jax.metrics import typicality
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
