from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.metrics import calibration, classification
from butterflyer_jax.metrics.sums import Sums


def answers(count: int = 4000, num_species: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, num_species))
    cumulated = calibration.softmax(logits).cumsum(axis=1)
    labels = (rng.random((count, 1)) > cumulated).sum(axis=1).clip(0, num_species - 1)
    return logits, labels.astype(np.int32)


def test_scores_of_species_by_hand() -> None:
    labels, named = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 2])
    confusion = classification.confusion_matrix(labels, named, 4)
    assert confusion[:3, :3].tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    rows = classification.by_species(confusion, "abcd")
    assert rows["a"] == {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}
    assert rows["b"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert rows["d"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert classification.worst_confusions(confusion, 5) == [(0, 1, 1), (1, 0, 1)]


def test_equal_logits_count_as_on_the_devices() -> None:
    logits, labels = np.zeros((10, 10), np.float32), np.arange(10, dtype=np.int32)
    logits[3, :6] = logits[7, 7:] = 1
    ours = classification.summary(logits, labels)
    losses = classification.cross_entropies(logits, labels).astype(np.float32)
    theirs = Sums.of_batch(*map(jnp.asarray, (losses, logits, labels, np.ones(10, np.float32)))).compute()
    assert (ours["top1"], ours["top5"]) == (theirs["top1"], theirs["top5"]) == (0.2, 0.6)
    broken = classification.summary(np.full((10, 10), np.nan), labels)
    assert (broken["top1"], broken["top5"]) == (0, 0)


def test_true_probabilities_have_no_calibration_error_and_need_no_temperature() -> None:
    logits, labels = answers()
    assert classification.reliability(calibration.softmax(logits), labels).error < 0.02
    assert classification.reliability(calibration.softmax(3 * logits), labels).error > 0.1
    assert calibration.fit(logits, labels, 5).temperature == pytest.approx(1, rel=0.05)
    chosen = calibration.fit(3 * logits, labels, 5)
    assert (chosen.temperature, chosen.step, chosen.count) == (pytest.approx(3, rel=0.05), 5, 4000)
    assert calibration.Calibration.from_json(chosen.to_json()) == chosen


def test_the_threshold_keeps_98_percent_of_what_is_named_rightly() -> None:
    logits, labels = answers()
    chosen = calibration.fit(logits, labels, 0)
    probabilities = calibration.softmax(logits / chosen.temperature)
    right = probabilities.argmax(axis=1) == labels
    assert (probabilities.max(axis=1)[right] >= chosen.threshold).mean() == pytest.approx(0.98, abs=0.002)


def test_extremes_of_calibration() -> None:
    perfect = 10.0 * np.eye(3)[[0, 1, 2, 0]]
    # Four of four: by the rule of succession, the next is right at about 5 to 1.
    sure = calibration.fit(perfect, np.array([0, 1, 2, 0]), 0)
    assert calibration.softmax(perfect / sure.temperature).max() == pytest.approx(0.867, abs=0.01)
    assert sure.threshold < 0.9
    wrong = calibration.fit(perfect, np.array([1, 2, 0, 1]), 0)
    assert wrong.temperature == pytest.approx(20, rel=0.01) and wrong.threshold == 0
    assert calibration.fit(np.empty((0, 3)), np.empty(0, int), 7) == calibration.Calibration(step=7)


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    logits, labels = answers(300)
    ours = classification.intervals(logits, labels)
    rng = np.random.default_rng(1)
    hits = logits.argmax(axis=1) == labels
    drawn = hits[rng.integers(0, len(hits), (4000, len(hits)))].mean(axis=1)
    np.testing.assert_allclose(ours["top1"], np.quantile(drawn, [0.025, 0.975]), atol=0.012)
    top1 = hits.mean()
    assert ours["top1"][0] < top1 < ours["top1"][1]
    assert ours["top5"][0] >= ours["top1"][0]
    low, high = ours["balanced_accuracy"]
    assert low < np.mean([hits[labels == n].mean() for n in range(7)]) < high


def test_the_interval_of_the_loss_is_that_of_its_mean() -> None:
    logits, labels = answers(2000)
    losses = classification.cross_entropies(logits, labels)
    np.testing.assert_allclose(losses, -np.log(calibration.softmax(logits)[np.arange(2000), labels]), rtol=1e-6)
    # Of many, the mean is normally distributed.
    reach = 1.96 * losses.std() / 2000**0.5
    interval = classification.intervals(logits, labels)["loss"]
    np.testing.assert_allclose(interval, [losses.mean() - reach, losses.mean() + reach], rtol=0.01)
    assert classification.intervals(logits, labels)["loss"] == interval, "the same each time"
    assert np.isfinite(classification.cross_entropies(np.array([[3e38, -3e38]], np.float32), np.array([0]))).all()


@pytest.mark.parametrize(
    ("successes", "count", "interval"),
    [(7, 7, (0.6457, 1.0)), (0, 7, (0.0, 0.3543)), (0, 0, (0.0, 1.0)), (120, 125, (0.9098, 0.9828))],
)
def test_wilson_does_not_shrink_to_a_point(successes: int, count: int, interval: tuple[float, float]) -> None:
    assert classification.wilson(successes, count) == pytest.approx(interval, abs=1e-4)
