"""The decision of a classifier: what it refuses, by the outputs of its network."""

from __future__ import annotations

import numpy as np

from butterflyer_jax.inference.classifier import Classifier


class LeftHalf(Classifier):
    """A network that is the surer of its first species the brighter the left half of an image."""

    threshold = 0.69
    listed = None

    def __init__(self, limit: float | None) -> None:
        self.limit = limit

    def outputs(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        half = images.shape[2] // 2
        first = 0.5 + 0.4 * images[:, :, :half].mean(axis=(1, 2, 3)) / 255
        probabilities = np.stack([first, 1 - first], axis=1).astype(np.float32)
        return probabilities, None if self.limit is None else np.linspace(0, 1, len(images), dtype=np.float32)

    def heat_maps(self, images: np.ndarray, labels: np.ndarray) -> None:
        return None


def halves() -> np.ndarray:
    """Returns images whose left half alone is bright, whose right half is, and which are bright everywhere."""
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[0, :, :2] = images[1, :, 2:] = images[2] = 255
    return images


def test_without_a_typicality_the_probability_that_is_given_decides() -> None:
    network = LeftHalf(None)
    assert network.excess(halves()) is None and not network.has_typicality
    for flip, highest, expected in (
        (False, [0.9, 0.5, 0.9], [False, True, False]),
        # Of an image and its mirror image together.
        (True, [0.7, 0.7, 0.9], [False, False, False]),
    ):
        probabilities, refused = network.classify(halves(), flip)
        np.testing.assert_allclose(probabilities.max(axis=1), highest, atol=1e-6)
        assert refused.tolist() == expected
    network.threshold = 0.8
    assert network.classify(halves(), flip=True)[1].tolist() == [True, True, False]


def test_with_a_typicality_its_limit_decides() -> None:
    network = LeftHalf(0.25)
    for flip in (False, True):
        assert network.classify(halves(), flip)[1].tolist() == [False, True, True]
    excess = network.excess(halves())
    assert excess is not None and excess.dtype == np.float64
    np.testing.assert_allclose(excess, [-0.25, 0.25, 0.75])
