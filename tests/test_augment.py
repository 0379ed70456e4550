from __future__ import annotations

import jax
import numpy as np
import pytest

from butterflyer_jax.augment import augment, normalise
from butterflyer_jax.config import AugmentConfig, ModelConfig

NOTHING = {"flip": False, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}


def photos(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 10, 3), np.uint8)


def run(images: np.ndarray, seed: int = 0, **changes: object) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), len(images))
    return np.asarray(augment(images, keys, AugmentConfig(**(NOTHING | changes))))


def test_nothing_asked_nothing_changed() -> None:
    np.testing.assert_allclose(run(photos()), photos() / 255, atol=1e-6)


def test_half_are_mirrored_and_none_otherwise_changed() -> None:
    images, out = photos() / 255, run(photos(), flip=True)
    mirrored = [np.allclose(o, i[:, ::-1], atol=1e-6) for o, i in zip(out, images, strict=True)]
    kept = [np.allclose(o, i, atol=1e-6) for o, i in zip(out, images, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation"])
def test_colour_changes_within_its_range(change: str) -> None:
    images = np.full((64, 4, 4, 3), 100, np.uint8)
    images[:, :2] = 140
    images[..., 0] += 20
    out = run(images, **{change: 0.2})
    assert out.min() >= 0
    assert out.max() <= 1
    assert len({float(x) for x in out[:, 0, 0, 0]}) > 32, "each photograph draws for itself"
    x = images[0] / 255
    grey = x @ np.array([0.299, 0.587, 0.114])
    anchor = {"brightness": 0.0, "contrast": grey.mean(), "saturation": grey[..., None]}[change]
    factors = ((out - anchor) / (x - anchor))[:, 0, 0, 0]
    assert 0.8 <= factors.min() < 0.85
    assert 1.15 < factors.max() <= 1.2


def test_a_key_settles_the_draw() -> None:
    changes = {"flip": True, "brightness": 0.3, "contrast": 0.3, "saturation": 0.3}
    np.testing.assert_array_equal(run(photos(), 1, **changes), run(photos(), 1, **changes))
    assert not np.array_equal(run(photos(), 1, **changes), run(photos(), 2, **changes))


def test_normalise_is_the_same_for_bytes_and_floats() -> None:
    config = ModelConfig(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    out = normalise(photos(), config)
    np.testing.assert_allclose(out, (photos() / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 2.0], atol=1e-5)
    np.testing.assert_allclose(normalise(np.float32(photos() / 255), config), out, atol=1e-5)
