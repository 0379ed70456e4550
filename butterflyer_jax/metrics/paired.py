"""Paired comparison of two classifiers on the same images: exact test, interval, and adjustment for several tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from butterflyer_jax.metrics.classification import NORMAL_QUANTILE


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the exact two-sided p-value of McNemar's test (1947, doi:10.1007/BF02295996); 1 where none differ.

    Args:
      only_first: number of images that the first classifier alone has right.
      only_second: number of images that the second alone has right.
    """
    differing = only_first + only_second
    return float(binomtest(only_second, differing).pvalue) if differing else 1.0


def difference(only_first: int, only_second: int, count: int) -> tuple[float, list[float]]:
    """Returns the accuracy of the second classifier less that of the first, and its 95% interval, [low, high].

    The interval is Wald's with half an image added to each cell of the table of two by two, which holds its level for
    few images too (Agresti & Min 2005, doi:10.1002/sim.1781).

    Args:
      only_first, only_second: as in `mcnemar`.
      count: number of images; for 0 the interval is [-1, 1].
    """
    if not count:
        return 0.0, [-1.0, 1.0]
    first, second, total = only_first + 0.5, only_second + 0.5, count + 2
    centre = (second - first) / total
    half = NORMAL_QUANTILE * np.sqrt(first + second - (second - first) ** 2 / total) / total
    return (only_second - only_first) / count, [float(max(-1, centre - half)), float(min(1, centre + half))]


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for their number (Holm 1979), in the same order."""
    adjusted = np.ones(len(p_values))
    highest = 0.0
    for place, number in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = highest
    return [float(value) for value in adjusted]
