"""Mixup and cutmix: pictures, shares, where the draws come from, and the loss."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from butterflyer_jax.config import AugmentConfig, OptimConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.preprocessing.mix import _smaller_shares, mix, swap_neighbours
from butterflyer_jax.training import optimizer, step
from tests.training.test_step import NOTHING, NUM_CLASSES, SmallNet, make_batch, make_training, tiny_config

COUNT, SIZE = 256, 16


def black_and_white() -> np.ndarray:
    """Pairs of a black photo and a white one: a mixture's pixels show whose they are."""
    images = np.zeros((COUNT, SIZE, SIZE, 3), np.float32)
    images[1::2] = 1
    return images


def run(images: np.ndarray, seed: int = 0, **changes: float) -> tuple[np.ndarray, np.ndarray]:
    keys = jax.random.split(jax.random.key(seed), len(images))
    mixture, own = mix(images, keys, AugmentConfig(**changes))
    return np.asarray(mixture), np.asarray(own)


def own_pixels(mixture: np.ndarray) -> np.ndarray:
    """Share of each pixel that is the photo's own, of `black_and_white`."""
    return np.where(np.arange(COUNT)[:, None, None] % 2, mixture[..., 0], 1 - mixture[..., 0])


def test_neighbours_are_pairs() -> None:
    assert swap_neighbours(np.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_the_share_is_that_of_the_picture(changes: dict[str, float]) -> None:
    mixture, own = run(black_and_white(), **changes)
    np.testing.assert_allclose(own, own_pixels(mixture).mean(axis=(1, 2)), atol=1e-5)
    # By half a row and half a column a box of pixels may be larger than the box drawn.
    assert own.min() > 0.5 - 1.5 / SIZE
    assert own.max() <= 1
    assert len(set(own.tolist())) > 30, "each photo draws for itself"


def test_mixup_blends_evenly() -> None:
    pixels = own_pixels(run(black_and_white(), mixup=0.4)[0])
    assert np.ptp(pixels, axis=(1, 2)).max() < 1e-6


def test_cutmix_pastes_one_box() -> None:
    pixels = own_pixels(run(black_and_white(), cutmix=1.0)[0])
    assert set(np.unique(pixels)) == {0.0, 1.0}
    for pasted in 1 - pixels:
        rows, columns = pasted.any(axis=1), pasted.any(axis=0)
        np.testing.assert_array_equal(pasted, np.outer(rows, columns))
        assert (np.diff(rows.astype(int)) == 1).sum() <= 1


def test_both_are_drawn_as_often() -> None:
    pixels = own_pixels(run(black_and_white(), mixup=1.0, cutmix=1.0)[0])
    blended = ((pixels > 0) & (pixels < 1)).any(axis=(1, 2)).mean()
    assert blended == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 2.5, 10.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    samples = np.random.default_rng(0).beta(alpha, alpha, 400_000)
    samples = np.minimum(samples, 1 - samples)
    shares = _smaller_shares(alpha)
    assert (np.diff(shares) >= 0).all()
    levels = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(shares, levels), np.quantile(samples, levels), atol=4e-3)


def test_the_neighbour_gives_pixels_and_no_draws() -> None:
    images = np.random.default_rng(0).random((8, SIZE, SIZE, 3), np.float32)
    keys = jax.random.split(jax.random.key(0), 8)
    config = AugmentConfig(mixup=0.4, cutmix=1.0)
    own = mix(images, keys, config)[1]
    others = jax.random.split(jax.random.key(9), 8)
    other = mix(images, jax.numpy.where(np.arange(8) % 2, others, keys), config)[1]
    np.testing.assert_array_equal(own[::2], other[::2])
    assert not np.array_equal(own[1::2], other[1::2])


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_a_mixed_photo_pays_for_both_labels(changes: dict[str, float]) -> None:
    config = tiny_config(augment=dataclasses.replace(NOTHING, **changes), optim=OptimConfig(label_smoothing=0.1))
    model = SmallNet(dropout=0.0)
    weights = np.linspace(0.5, 2, NUM_CLASSES, dtype=np.float32)
    state, _, _, mesh = make_training(config, model)
    batch = sharding.put_batch(make_batch(config), mesh)
    seen: list[tuple[np.ndarray, ...]] = []

    def apply_fn(variables: Any, images: jax.Array, **options: Any) -> Any:
        logits, updates = model.apply(variables, images, **options)
        jax.debug.callback(lambda *arrays: seen.append(arrays), images, logits)
        return logits, updates

    tx, schedule = optimizer.make_optimizer(config.optim), optimizer.make_schedule(config.optim, 10, 100)
    train_step = step.make_train_step(apply_fn, tx, schedule, config, mesh, steps_per_epoch=4, class_weights=weights)
    metrics = jax.block_until_ready(train_step(state, batch)[1])
    jax.effects_barrier()
    images, logits = map(np.asarray, seen[0])

    plain = np.asarray(images_lib.normalise(batch["image"], config.model))
    partner = np.asarray(swap_neighbours(plain))
    if "cutmix" in changes:
        own = (abs(images - plain) < abs(images - partner)).any(axis=-1).mean(axis=(1, 2))
    else:
        # The share that explains the pixels, by least squares.
        away = plain - partner
        own = ((images - partner) * away).sum(axis=(1, 2, 3)) / (away**2).sum(axis=(1, 2, 3))
    labels = np.asarray(batch["label"])
    others = swap_neighbours(labels)
    smooth = 0.9 * np.eye(NUM_CLASSES) + 0.1 / NUM_CLASSES
    targets = own[:, None] * (weights[labels][:, None] * smooth[labels])
    targets += (1 - own)[:, None] * (weights[others][:, None] * smooth[others])
    expected = -(targets * np.asarray(jax.nn.log_softmax(logits))).sum(axis=1).mean()
    assert own.min() < 0.9
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)
    assert float(metrics["top1"]) == (logits.argmax(axis=1) == labels).mean()
