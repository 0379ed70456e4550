"""Metrics of an evaluation by slices of the images, such as camera or place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Integer

from butterflyer_jax.metrics import classification

MAX_VALUES = 30
# A column with more different numbers than this is divided into quarters.
MAX_NUMBERS = 12
OTHERS = "others"
NOT_GIVEN = "not given"


def score(
    logits: Float[np.ndarray, "count num_classes"],
    labels: Integer[np.ndarray, " count"],
    columns: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns count, loss, top1, top5, balanced_accuracy and intervals by column and value.

    Args:
      logits: float [count, species].
      labels: int [count].
      columns: values by column, one per image, empty where none is given.
    """
    return {
        column: {
            value: classification.summary(logits[numbers], labels[numbers])
            | {"intervals": classification.intervals(logits[numbers], labels[numbers])}
            for value, numbers in divide(values).items()
        }
        for column, values in columns.items()
    }


def divide(values: Sequence[str]) -> dict[str, Int64[np.ndarray, " _"]]:
    """Returns the indices of the images of each value, int [images].

    Many different numbers become four ranges with about the same number of images each. Of other values the 30 most
    frequent stay; the rest is "others", and "not given" where an image has none. Numbers are in rising order, other
    values in falling order of their number of images.

    Args:
      values: value of each image, empty where none is given.
    """
    given = np.array([number for number, value in enumerate(values) if value], np.int64)
    texts = [values[number] for number in given]
    numbers = _as_numbers(texts)
    if numbers is not None and len(np.unique(numbers)) > MAX_NUMBERS:
        divided = _quarters(texts, numbers, given)
    else:
        divided = {}
        for place, text in zip(given, texts, strict=True):
            divided.setdefault(text, []).append(place)
        if numbers is not None:
            divided = dict(sorted(divided.items(), key=lambda item: (float(item[0]), item[0])))
        else:
            divided = _most_frequent(divided)
    missing = [number for number, value in enumerate(values) if not value]
    if missing:
        divided[NOT_GIVEN] = [*divided.pop(NOT_GIVEN, []), *missing]
    return {value: np.array(sorted(places), np.int64) for value, places in divided.items()}


def _as_numbers(texts: Sequence[str]) -> np.ndarray | None:
    """Returns the texts as float64, or None if one is no number."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return np.array(numbers) if numbers and all(map(math.isfinite, numbers)) else None


def _quarters(texts: Sequence[str], numbers: np.ndarray, given: np.ndarray) -> dict[str, list[int]]:
    # A number on an edge belongs to the quarter below, with all equal ones.
    quarter = np.searchsorted(np.quantile(numbers, (0.25, 0.5, 0.75)), numbers)
    divided = {}
    for one in np.unique(quarter):
        inside = np.flatnonzero(quarter == one)
        low, high = (texts[inside[place]] for place in (numbers[inside].argmin(), numbers[inside].argmax()))
        divided[low if float(low) == float(high) else f"{low} to {high}"] = given[inside].tolist()
    return divided


def _most_frequent(divided: dict[str, list[int]]) -> dict[str, list[int]]:
    ordered = sorted(divided, key=lambda value: (-len(divided[value]), value))
    kept = {value: divided[value] for value in ordered[:MAX_VALUES]}
    rest = [place for value in ordered[MAX_VALUES:] for place in divided[value]]
    if rest:
        kept[OTHERS] = [*kept.pop(OTHERS, []), *rest]
    return kept
