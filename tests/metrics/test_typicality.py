"""How typical an image is of those that a network was trained on."""

from __future__ import annotations

import dataclasses
import io

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


def drawn_logits(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 4, (count, 2)).astype(np.float32)


def fit_on(
    features: np.ndarray, labels: np.ndarray, negatives: np.ndarray, held_out: np.ndarray, false_refusals: float
) -> Typicality:
    count = len(held_out)
    logits = drawn_logits(count, 21)
    return fit(features, labels, negatives, held_out, logits, num_held_out=count, false_refusals=false_refusals, step=7)


@pytest.fixture(scope="module")
def fitted() -> Typicality:
    features, labels = drawn(400, 1)
    negatives = np.random.default_rng(2).normal(8, 4, (300, NUM_FEATURES))
    return fit_on(features, labels, negatives, drawn(4000, 3)[0], 0.05)


def test_the_share_of_false_refusals_is_the_one_asked_for(fitted: Typicality) -> None:
    assert 0.04 < fitted.refuses(drawn(4000, 3)[0], drawn_logits(4000, 21)).mean() < 0.05
    assert fitted.refuses(drawn(4000, 4)[0], drawn_logits(4000, 22)).mean() == pytest.approx(0.05, abs=0.015)


def test_what_lies_elsewhere_is_refused_though_no_negative_lay_there(fitted: Typicality) -> None:
    sure = np.tile([9.0, 0.0], (200, 1))
    assert fitted.refuses(drawn(200, 5, offset=-20)[0], sure).mean() > 0.9
    assert fitted.refuses(np.random.default_rng(6).normal(8, 4, (200, NUM_FEATURES)), sure).mean() > 0.95


def test_what_looks_unlike_negatives_is_refused_by_distance_and_doubt_alone(fitted: Typicality) -> None:
    """A species that is left out: no negative is like it, so that in one sum with the head it would pass."""
    # Away from the negatives, with the doubt of held-out images.
    towards = fitted.head[:-1] / np.linalg.norm(fitted.head[:-1])
    elsewhere = drawn(300, 5)[0] - 9 * towards
    found = {}
    for name, rows in (("both", [0, 1]), ("one", [1])):
        of_rows = dataclasses.replace(fitted, weights=fitted.weights[rows], offsets=fitted.offsets[rows])
        limit = np.quantile(of_rows.score(drawn(4000, 3)[0], drawn_logits(4000, 21)), 0.95)
        found[name] = (of_rows.score(elsewhere, drawn_logits(300, 23)) > limit).mean()
    assert found["both"] > found["one"] + 0.2


def test_an_image_of_a_class_that_is_left_out_is_as_far_as_the_nearest_other_one(fitted: Typicality) -> None:
    features, labels = drawn(200, 8)
    logits = drawn_logits(200, 24)
    logits[np.arange(200), labels] = -np.inf
    found = fitted.score(features, logits, labels)
    for one in (0, 1):
        alone = dataclasses.replace(fitted, class_means=np.delete(fitted.class_means, one, axis=0))
        rows = labels == one
        np.testing.assert_allclose(found[rows], alone.score(features[rows], logits[rows]))
    assert (found > float(fitted.limit)).mean() > 0.9 > 0.1 > fitted.refuses(features, drawn_logits(200, 24)).mean()


def test_a_file_without_a_reference_reads_as_it_did(fitted: Typicality) -> None:
    values = dataclasses.asdict(fitted)
    del values["reference"]
    buffer = io.BytesIO()
    np.savez(buffer, **values | {"weights": fitted.weights[:, [0, 2, 3]]})
    earlier = dataclasses.replace(fitted, weights=fitted.weights * np.array([1, 0, 1, 1], np.float32))
    answer = drawn(50, 8)[0], drawn_logits(50, 8)
    np.testing.assert_array_equal(Typicality.from_bytes(buffer.getvalue()).score(*answer), earlier.score(*answer))


def test_of_equally_typical_images_the_one_that_the_network_doubts_has_the_larger_score(fitted: Typicality) -> None:
    features = np.tile(drawn(1, 5)[0], (4, 1))
    gaps = np.array([8.0, 4.0, 1.0, 0.0])
    scores = fitted.score(features, np.stack([gaps, np.zeros(4)], axis=1))
    assert (np.diff(scores) > 0).all()
    # Certain to the last bit: finite.
    assert np.isfinite(fitted.score(features[:1], np.array([[500.0, 0.0]]))).all()


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features, labels = drawn(100, 1)
    features[:, 3] = 0
    found = fit_on(features, labels, features + 9, features, 0.1)
    assert np.isfinite(found.score(features, drawn_logits(100, 1))).all()


def test_fewer_images_than_features() -> None:
    features, labels = drawn(10, 1)
    found = fit_on(features, labels, features + 9, features, 0.1)
    assert np.isfinite(found.score(drawn(50, 2)[0], drawn_logits(50, 1))).all()


@pytest.mark.parametrize("count", [15, 200], ids=["fewer images than features", "more"])
def test_the_distance_is_that_of_the_shrunk_covariance(count: int) -> None:
    """Computed here with the inverse of the whole matrix."""
    features, labels = drawn(count, 1)
    found = fit_on(features, labels, features + 9, features, 0.1)
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-3)
    means = np.stack([scaled[labels == label].mean(axis=0) for label in (0, 1)])
    reference = (features + 9 - features.mean(axis=0)) / (features.std(axis=0) + 1e-3)
    np.testing.assert_allclose(found.reference, reference.mean(axis=0), rtol=1e-5)
    covariance = (scaled - means[labels]).T @ (scaled - means[labels]) / count
    shrunk = 0.7 * covariance + 0.3 * np.trace(covariance) / NUM_FEATURES * np.eye(NUM_FEATURES)
    others = drawn(50, 2)[0]
    away = ((others - found.mean) / found.std)[None] - np.append(means, reference.mean(axis=0)[None], axis=0)[:, None]
    squares = np.einsum("cnf,fg,cng->cn", away, np.linalg.inv(shrunk), away)
    # Of one distance alone: from the nearest class, and from the negatives.
    for place, expected in enumerate((squares[:-1].min(axis=0), squares[-1])):
        weights = np.eye(4, dtype=np.float32)[[place]]
        alone = dataclasses.replace(found, weights=weights, offsets=np.zeros(1, np.float32))
        np.testing.assert_allclose(alone.score(others, drawn_logits(50, 1)), np.log(expected), atol=1e-4)


@pytest.mark.parametrize("count", [9, 200], ids=["fewer images than features", "more"])
def test_the_head_is_a_ridge_regression(count: int) -> None:
    """Solved here as least squares with one more row for each weight."""
    features, labels = drawn(count, 1)
    negatives = drawn(2 * count // 3, 2, offset=1.0)[0]
    found = fit_on(features, labels, negatives, features, 0.1)
    inputs = ((np.concatenate([features, negatives]) - found.mean) / found.std).clip(-8, 8)
    sides = np.repeat([-1.0, 1.0], [len(features), len(negatives)])
    roots = np.sqrt(np.where(sides < 0, 0.5 / len(features), 0.5 / len(negatives)))
    rows = (inputs - roots**2 @ inputs) * roots[:, None]
    ridge = np.sqrt(0.1 * (rows**2).sum() / NUM_FEATURES) * np.eye(NUM_FEATURES)
    weights = np.linalg.lstsq(np.concatenate([rows, ridge]), np.append(roots * sides, np.zeros(NUM_FEATURES)))[0]
    np.testing.assert_allclose(found.head, np.append(weights, -(roots**2 @ inputs) @ weights), atol=1e-5)


def test_it_is_written_and_read(fitted: Typicality) -> None:
    again = Typicality.from_bytes(fitted.to_bytes())
    features, logits = drawn(50, 8)[0], drawn_logits(50, 8)
    np.testing.assert_array_equal(again.score(features, logits), fitted.score(features, logits))
    assert again.step == 7
    with pytest.raises((ValueError, OSError)):
        Typicality.from_bytes(b"nothing of the kind")


@pytest.mark.parametrize(("scales", "weights"), [([2, 3], [0.125, 1 / 3, 0]), ([2, 4, 5], [0.5, 0.25, 0.2])])
def test_a_file_of_one_sum_reads_as_it_did(fitted: Typicality, scales: list[float], weights: list[float]) -> None:
    values = dataclasses.asdict(fitted)
    del values["weights"], values["offsets"], values["reference"]
    buffer = io.BytesIO()
    np.savez(buffer, **values | {"scales": np.array(scales, np.float32)})
    earlier = Typicality.from_bytes(buffer.getvalue())
    answer = drawn(50, 8)[0], drawn_logits(50, 8)
    parts = [
        dataclasses.replace(fitted, weights=np.eye(4)[[place]], offsets=np.zeros(1, np.float32)).score(*answer)
        for place in (0, 2, 3)
    ]
    np.testing.assert_allclose(earlier.score(*answer), weights @ np.array(parts), rtol=1e-12)
