"""A last layer that learns from corrections."""

from __future__ import annotations

import numpy as np

from butterflyer_jax.metrics.last_layer import Images, Layer, refit

WIDTH, CLASSES = 6, 3


def images(rng: np.random.Generator, count: int, move: float = 0.0) -> Images:
    """Returns images of three classes, each a direction of its own; `move` takes all towards the first."""
    labels = rng.integers(0, CLASSES, count)
    inputs = np.eye(CLASSES, WIDTH)[labels] * 3 + rng.normal(0, 0.3, (count, WIDTH))
    # What is moved shows so in a direction that the others do not use.
    inputs[:, 0] += move
    inputs[:, WIDTH - 1] += move
    return Images(inputs.astype(np.float32), labels)


LAYER = Layer(np.eye(WIDTH, CLASSES, dtype=np.float32), np.zeros(CLASSES, np.float32))


def accuracy(layer: Layer, of: Images) -> float:
    return float((layer.logits(of.inputs).argmax(axis=1) == of.labels).mean())


def test_corrections_are_learned_and_the_rest_is_kept() -> None:
    rng = np.random.default_rng(0)
    train, val, corrections, unseen = images(rng, 200), images(rng, 60), images(rng, 40, 6.0), images(rng, 100, 6.0)
    assert accuracy(LAYER, val) == 1
    assert accuracy(LAYER, unseen) < 0.5
    found = refit(LAYER, train, corrections, np.arange(40), val)
    assert accuracy(found.layer, val) == 1
    assert accuracy(found.layer, unseen) > 0.95
    assert found.out_of_fold is not None
    assert (found.out_of_fold.argmax(axis=1) == corrections.labels).mean() > 0.9
    assert found.layer.kernel.dtype == np.float32


def test_corrections_of_one_group_never_judge_each_other() -> None:
    rng = np.random.default_rng(2)
    found = refit(LAYER, images(rng, 100), images(rng, 8, 6.0), np.zeros(8, int), images(rng, 30))
    assert found.out_of_fold is None


def test_without_val_the_corrections_choose() -> None:
    rng = np.random.default_rng(3)
    none = images(rng, 0)
    found = refit(LAYER, images(rng, 100), images(rng, 30, 6.0), np.arange(30), none)
    assert accuracy(found.layer, images(rng, 50, 6.0)) > 0.9


def test_the_same_input_gives_the_same_layer() -> None:
    def once() -> Layer:
        rng = np.random.default_rng(4)
        return refit(LAYER, images(rng, 50), images(rng, 10, 6.0), np.arange(10), images(rng, 20)).layer

    np.testing.assert_array_equal(once().kernel, once().kernel)
