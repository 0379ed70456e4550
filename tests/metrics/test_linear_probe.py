"""Out-of-fold answers of a linear probe."""

from __future__ import annotations

import numpy as np

from butterflyer_jax.metrics import linear_probe


def blobs(per_class: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(4), per_class)
    centres = 3 * rng.standard_normal((4, 20))
    return (centres[labels] + rng.standard_normal((len(labels), 20))).astype(np.float32), labels


def test_wrong_labels_have_the_smallest_margins() -> None:
    rng = np.random.default_rng(0)
    features, labels = blobs(50, rng)
    wrong = rng.choice(200, 10, replace=False)
    given = labels.copy()
    given[wrong] = (given[wrong] + 1) % 4
    probabilities = linear_probe.out_of_fold(features, given, np.arange(200) % 5, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    margins = linear_probe.margins(probabilities, given)
    assert set(np.argsort(margins)[:10]) == set(wrong)
    np.testing.assert_array_equal(probabilities.argmax(axis=1)[wrong], labels[wrong])


def test_a_photo_has_no_say_in_its_own_answer() -> None:
    rng = np.random.default_rng(1)
    features, labels = blobs(10, rng)
    folds = np.arange(40) % 5
    before = linear_probe.out_of_fold(features, labels, folds, 4)
    changed = labels.copy()
    changed[folds == 2] = (changed[folds == 2] + 1) % 4
    after = linear_probe.out_of_fold(features, changed, folds, 4)
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert not np.array_equal(before[folds != 2], after[folds != 2])


def test_a_class_without_photos_in_other_folds_has_probability_zero() -> None:
    rng = np.random.default_rng(2)
    features, labels = blobs(10, rng)
    labels[0] = 4
    probabilities = linear_probe.out_of_fold(features, labels, np.arange(40) % 5, 5)
    np.testing.assert_array_equal(probabilities[np.arange(40) % 5 == 0, 4], 0)
    assert (probabilities[1:5, 4] > 0).all()
