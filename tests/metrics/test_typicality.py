"""How typical an image is of those that a network was trained on."""

from __future__ import annotations

import numpy as np
import pytest

from butterflyer_jax.metrics.typicality import Typicality, fit

NUM_FEATURES = 24


def drawn(count: int, seed: int, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of two classes around means of their own, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    means = np.random.default_rng(99).normal(0, 3, (2, NUM_FEATURES))
    return means[labels] + rng.normal(0, 1, (count, NUM_FEATURES)) + offset, labels


@pytest.fixture(scope="module")
def fitted() -> Typicality:
    features, labels = drawn(400, 1)
    negatives = np.random.default_rng(2).normal(8, 4, (300, NUM_FEATURES))
    return fit(features, labels, negatives, drawn(4000, 3)[0], 4000, 0.05, step=7)


def test_the_share_of_false_refusals_is_the_one_asked_for(fitted: Typicality) -> None:
    assert 0.04 < fitted.refuses(drawn(4000, 3)[0]).mean() < 0.05
    assert fitted.refuses(drawn(4000, 4)[0]).mean() == pytest.approx(0.05, abs=0.015)


def test_what_lies_elsewhere_is_refused_though_no_negative_lay_there(fitted: Typicality) -> None:
    assert fitted.refuses(drawn(200, 5, offset=-20)[0]).mean() > 0.9
    assert fitted.refuses(np.random.default_rng(6).normal(8, 4, (200, NUM_FEATURES))).mean() > 0.95


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features, labels = drawn(100, 1)
    features[:, 3] = 0
    found = fit(features, labels, features + 9, features, 100, 0.1, step=1)
    assert np.isfinite(found.score(features)).all()


def test_fewer_images_than_features() -> None:
    features, labels = drawn(10, 1)
    found = fit(features, labels, features + 9, features, 10, 0.1, step=1)
    assert np.isfinite(found.score(drawn(50, 2)[0])).all()


def test_it_is_written_and_read(fitted: Typicality) -> None:
    again = Typicality.from_bytes(fitted.to_bytes())
    features, _ = drawn(50, 8)
    np.testing.assert_array_equal(again.score(features), fitted.score(features))
    assert again.step == 7
    with pytest.raises((ValueError, OSError)):
        Typicality.from_bytes(b"nothing of the kind")
