"""Outcomes of an evaluation: right and wrong answers that are given or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer

from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.metrics.ranks import MIN_PROBABILITY


def count(
    probabilities: Float[np.ndarray, "count num_classes"],
    labels: Integer[np.ndarray, " count"],
    refused: Bool[np.ndarray, " count"],
    known: Bool[np.ndarray, " count"],
) -> dict[str, Any]:
    """Returns how many photos have each outcome.

    Args:
      probabilities: float [count, num_classes], calibrated.
      labels: int [count]; of no meaning where the species is not known.
      refused: bool [count], images that are none of the species.
      known: bool [count], photos of species that the run knows.

    Returns:
      sure_from, a probability; and right and wrong, of photos of known species, and unknown, of the others: each a dict
      of answered, sure (answered with that probability or more) and refused, with count, share of all known or of all
      other photos, and interval, Wilson's of 95%.
    """
    sure = probabilities.max(axis=1) >= MIN_PROBABILITY
    right = known & (probabilities.argmax(axis=1) == labels)
    answers = {"answered": ~refused, "sure": sure & ~refused, "refused": refused}
    found: dict[str, Any] = {"sure_from": MIN_PROBABILITY}
    for group, of_group, all_of_them in (
        ("right", right, known),
        ("wrong", known & ~right, known),
        ("unknown", ~known, ~known),
    ):
        total = int(all_of_them.sum())
        counts = {answer: int((of_group & of_answer).sum()) for answer, of_answer in answers.items()}
        found[group] = {
            answer: {"count": number, "share": number / total if total else None, "interval": wilson(number, total)}
            for answer, number in counts.items()
        }
    return found
