from __future__ import annotations

import jax
import numpy as np
import pytest

from butterflyer_jax.config import AugmentConfig, Config, DataConfig, ModelConfig
from butterflyer_jax.preprocessing.images import augment, eval_images, normalise, train_images

NOTHING = {"flip": False, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
COLOURS = {"flip": True, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
EVERYTHING = {**COLOURS, "strength": "strong", "mixup": 0.4, "cutmix": 1.0, "erase_probability": 0.5}


def photos(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 10, 3), np.uint8)


def run(images: np.ndarray, seed: int = 0, **changes: object) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), len(images))
    return np.asarray(augment(np.float32(images / 255), keys, AugmentConfig(**(NOTHING | changes)), ModelConfig()))


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
    assert len({float(x) for x in out[:, 0, 0, 0]}) > 32, "each photo draws for itself"
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


SIZE = 32


def windowed_batch(count: int = 16) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (count, 44, 44, 3), np.uint8),
        "window": np.stack([np.array([3, 5, 37, 30 + i % 10]) for i in range(count)]).astype(np.int32),
    }


def train(batch: dict[str, np.ndarray], keys: jax.Array, **changes: object) -> tuple[np.ndarray, np.ndarray | None]:
    config = Config(data=DataConfig(image_size=SIZE), augment=AugmentConfig(**(NOTHING | changes)))
    images, own = jax.jit(lambda batch, keys: train_images(batch, keys, config))(batch, keys)
    return np.asarray(images), None if own is None else np.asarray(own)


def keys_of(count: int = 16, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


def test_nothing_asked_training_sees_what_evaluation_sees() -> None:
    batch, config = windowed_batch(), Config(data=DataConfig(image_size=SIZE))
    images, own = train(batch, keys_of())
    assert own is None
    assert images.shape == (16, SIZE, SIZE, 3)
    np.testing.assert_allclose(images, eval_images(batch, config), atol=1e-5)
    whole = {"image": batch["image"][:, :SIZE, :SIZE]}
    copied = whole | {"window": np.tile(np.int32([0, 0, SIZE, SIZE]), (16, 1))}
    np.testing.assert_allclose(eval_images(whole, config), normalise(whole["image"], config.model), atol=1e-6)
    np.testing.assert_allclose(eval_images(copied, config), eval_images(whole, config), atol=1e-5)


def test_what_is_off_is_not_computed() -> None:
    batch = {"image": np.zeros((2, SIZE, SIZE, 3), np.uint8)}

    def program(**changes: object) -> str:
        config = Config(data=DataConfig(image_size=SIZE), augment=AugmentConfig(**(NOTHING | changes)))
        return jax.jit(lambda batch, keys: train_images(batch, keys, config)).lower(batch, keys_of(2)).as_text()

    assert "gather" in program(strength="light")
    plain = program()
    for operation in ("gather", "dot_general", "threefry", "reverse"):
        assert operation not in plain, operation


@pytest.mark.parametrize("strength", ["light", "medium", "strong"])
def test_a_preset_is_settled_by_the_key(strength: str) -> None:
    batch = windowed_batch()
    first = train(batch, keys_of(), strength=strength)[0]
    np.testing.assert_array_equal(first, train(batch, keys_of(), strength=strength)[0])
    changed = abs(first - train(batch, keys_of())[0]).max(axis=(1, 2, 3)) > 0.05
    assert changed.mean() > 0.7
    other = abs(first - train(batch, keys_of(seed=1), strength=strength)[0]).max(axis=(1, 2, 3)) > 0.05
    assert other.mean() > 0.7


def test_a_photo_comes_out_the_same_from_any_place_in_any_batch() -> None:
    batch, keys = windowed_batch(), keys_of()
    images, own = train(batch, keys, **EVERYTHING)
    assert own is not None
    # Pairs stay together: a photo is mixed with its neighbour.
    order = np.array([6, 7, 2, 3, 15, 14])
    part, part_own = train({name: x[order] for name, x in batch.items()}, keys[order], **EVERYTHING)
    np.testing.assert_allclose(part, images[order], atol=1e-5)
    np.testing.assert_allclose(part_own, own[order], atol=1e-5)


def test_switching_one_thing_on_leaves_the_draws_of_the_others() -> None:
    batch, keys = {"image": np.full((16, SIZE, SIZE, 3), 255, np.uint8)}, keys_of()
    erased = train(batch, keys, erase_probability=0.5)[0]
    recoloured = train(batch, keys, erase_probability=0.5, **COLOURS)[0]
    np.testing.assert_array_equal(recoloured == 0, erased == 0)
    warped = train(batch, keys, strength="strong")[0]
    both = train(batch, keys, strength="strong", erase_probability=0.5)[0]
    np.testing.assert_allclose(both, np.where(erased == 0, 0, warped), atol=1e-5)
    for name in ("mixup", "cutmix"):
        alone = train(batch, keys, **{name: 1.0})[1]
        np.testing.assert_array_equal(train(batch, keys, erase_probability=0.5, **{name: 1.0}, **COLOURS)[1], alone)


def test_the_mean_colour_fills_what_is_erased_or_uncovered() -> None:
    batch = {"image": np.full((64, SIZE, SIZE, 3), 255, np.uint8)}
    for changes in ({"erase_probability": 1.0}, {"strength": "strong"}):
        images = train(batch, keys_of(64), **changes)[0]
        assert (abs(images).max(axis=-1) < 1e-5).any(axis=(1, 2)).mean() > 0.5
