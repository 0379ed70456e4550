"""Classification metrics from logits: scores by species, reliability and confidence intervals, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64, Integer

FALLING = ("loss",)

BINS = 15
RESAMPLES = 1000
CONFIDENCE = 0.95
_SEED = 0
# 97.5% quantile of the normal distribution.
NORMAL_QUANTILE = 1.959963984540054


@dataclass(frozen=True)
class Reliability:
    """Accuracy by confidence.

    Attributes:
      confidence: float64 [bins], mean probability of the first species; nan for an empty bin.
      accuracy: float64 [bins], share of right predictions.
      count: int64 [bins], number of images.
      error: expected calibration error, the mean distance of confidence and accuracy over the images.
    """

    confidence: Float64[np.ndarray, " bins"]
    accuracy: Float64[np.ndarray, " bins"]
    count: Int64[np.ndarray, " bins"]
    error: float


def confusion_matrix(
    labels: Integer[np.ndarray, " count"], predictions: Integer[np.ndarray, " count"], num_species: int
) -> Int64[np.ndarray, "num_species num_species"]:
    """Returns images by (species, prediction), int64 [species, species]."""
    flat = np.bincount(labels.astype(np.int64) * num_species + predictions, minlength=num_species**2)
    return flat.reshape(num_species, num_species)


def by_species(
    confusion: Integer[np.ndarray, "num_species num_species"], species: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Returns precision, recall, f1 and support of each species.

    Recall and f1 are None for a species without images, precision for one that was never predicted.
    """
    support, named, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()

    def share(part: int, whole: int) -> float | None:
        return float(part / whole) if whole else None

    return {
        name: {
            "precision": share(right[i], named[i]),
            "recall": share(right[i], support[i]),
            "f1": float(2 * right[i] / (support[i] + named[i])) if support[i] else None,
            "support": int(support[i]),
        }
        for i, name in enumerate(species)
    }


def recall_interval(row: Mapping[str, Any]) -> list[float]:
    """Returns Wilson's 95% interval of the recall in a row of `by_species`, [low, high]."""
    return wilson(round((row["recall"] or 0.0) * row["support"]), row["support"])


def summary(logits: Float[np.ndarray, "count num_classes"], labels: Integer[np.ndarray, " count"]) -> dict[str, Any]:
    """Returns count, loss, top1, top5 and balanced_accuracy, the same as `metrics.sums.Sums.compute` for a whole split.

    Args:
      logits: float [count, species].
      labels: int [count], at least one.
    """
    outcome = _outcomes(logits, labels)
    species, place = np.unique(labels, return_inverse=True)
    recall = np.bincount(place, outcome == 0, len(species)) / np.bincount(place)
    return {
        "count": len(labels),
        "loss": float(cross_entropies(logits, labels).mean()),
        "top1": float((outcome == 0).mean()),
        "top5": float((outcome < 2).mean()),
        "balanced_accuracy": float(recall.mean()),
    }


def _outcomes(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns 0 where the species is the first, 1 where it is among the five, else 2; int [count].

    Of equal logits the first counts, as in `metrics.sums.Sums`; nan is never right.
    """
    own = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)
    before = (logits == own) & (np.arange(logits.shape[1]) < labels[:, None])
    better = (~(logits <= own) | before).sum(axis=1)
    return np.where(better == 0, 0, np.where(better < 5, 1, 2))


def reliability(
    probabilities: Float[np.ndarray, "count num_classes"], labels: Integer[np.ndarray, " count"]
) -> Reliability:
    """Sorts images into bins of equal width by the probability of their first species.

    Args:
      probabilities: float [count, species].
      labels: int [count].
    """
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, sure, BINS) / count
        accuracy = np.bincount(place, right, BINS) / count
    distance = np.nan_to_num(np.abs(confidence - accuracy))
    return Reliability(confidence, accuracy, count, float((distance * count).sum() / max(1, len(labels))))


def intervals(
    logits: Float[np.ndarray, "count num_classes"], labels: Integer[np.ndarray, " count"]
) -> dict[str, list[float]]:
    """Returns the 95% intervals of top1, top5, balanced_accuracy and loss, [low, high].

    Those of top1 and top5 are Wilson's. The other two are a bootstrap of a thousand resamples with replacement: an
    interval is the 2.5% and the 97.5% quantile of the results. The balanced accuracy depends only on the number of
    right photos of each species, so these numbers are drawn; for the loss the photos themselves are drawn.

    Args:
      logits: float [count, species].
      labels: int [count].
    """
    species, place = np.unique(labels, return_inverse=True)
    cells = np.bincount(place * 3 + _outcomes(logits, labels), minlength=3 * len(species))
    draws = np.random.default_rng(_SEED).multinomial(len(labels), cells / len(labels), RESAMPLES)
    draws = draws.reshape(RESAMPLES, len(species), 3)
    support = draws.sum(axis=2)
    with np.errstate(invalid="ignore"):
        recall = draws[:, :, 0] / support
    values = {
        # Mean over the species that were drawn.
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "loss": _mean_of_draws(cross_entropies(logits, labels)),
    }
    outcomes = _outcomes(logits, labels)
    tails = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    found = {name: [float(x) for x in np.quantile(of_each, tails)] for name, of_each in values.items()}
    return {
        "top1": wilson(int((outcomes == 0).sum()), len(labels)),
        "top5": wilson(int((outcomes < 2).sum()), len(labels)),
    } | found


def wilson(successes: int, count: int, errors: float = NORMAL_QUANTILE) -> list[float]:
    """Returns the 95% score interval of a proportion, [low, high] (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Unlike a bootstrap it does not shrink to a point where all or none succeed: 7 of 7 is 64.6% to 100%.

    Args:
      successes: number of photos that succeed.
      count: number of photos; for 0 the interval is [0, 1].
      errors: half the width in standard errors; by default that of 95%.
    """
    if not count:
        return [0.0, 1.0]
    z = errors
    share = successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return [float(max(0.0, centre - half)), float(min(1.0, centre + half))]


def cross_entropies(
    logits: Float[np.ndarray, "count num_classes"], labels: Integer[np.ndarray, " count"]
) -> Float64[np.ndarray, " count"]:
    """Returns the loss of each image, float64 [count]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None].astype(np.int64), axis=1)[:, 0]
    return np.log(np.exp(shifted).sum(axis=1)) - own


def _mean_of_draws(values: np.ndarray) -> np.ndarray:
    # One draw after another: all of them at once would hold a thousand numbers per image.
    rng = np.random.default_rng(_SEED)
    return np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)])


def worst_confusions(
    confusion: Integer[np.ndarray, "num_species num_species"], limit: int
) -> list[tuple[int, int, int]]:
    """Returns (species, prediction, images) of the most frequent mistakes, the most frequent first."""
    mistakes = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(place), len(confusion)) for place in order]
    return [(true, named, int(mistakes[true, named])) for true, named in pairs if mistakes[true, named]]


def is_better(value: float, other: float, metric: str) -> bool:
    """Returns whether a value of a metric is better than another."""
    return value < other if metric in FALLING else value > other


def rank(metrics: Mapping[str, float], metric: str) -> tuple[float, float]:
    """Returns a sort key that is larger for better evaluations; the loss decides between equal ones."""
    value = metrics[metric]
    return (-value if metric in FALLING else value), -metrics["loss"]
