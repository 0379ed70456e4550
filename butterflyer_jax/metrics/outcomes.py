"""Outcomes of an evaluation: right and wrong answers that are given or refused."""

from __future__ import annotations

from collections.abc import Mapping
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


def of_answers(metrics: Mapping[str, Any], which: str) -> list[tuple[str, int, str]]:
    """Returns how many photos are answered rightly and wrongly, not surely, and refused; each photo counts once.

    With ranks an answer is that at the lowest rank that is sure enough; without, every photo that is not refused is
    answered by a species, however unsure.

    Args:
      metrics: content of metrics.json of an evaluation.
      which: "known" or "unknown", the photos of species that the run knows, or of others.

    Returns:
      (answer, count, detail) of right, wrong, not sure and refused, without those that cannot be.
    """
    found, refusal = metrics["outcomes"], metrics["refusal"][which]
    refused = ("refused", refusal["refused"], "")
    if "ranks" in metrics:
        rows = metrics["ranks"][which]
        right, wrong = sum(row["right"] for row in rows), sum(row["count"] - row["right"] for row in rows)
        unsure = refusal["count"] - refusal["refused"] - right - wrong
        of_rank = [(row["rank"], row["right"], row["count"] - row["right"]) for row in rows]
        answers = [
            ("right", right, _by([(rank, count) for rank, count, _ in of_rank])),
            ("wrong", wrong, _by([(rank, count) for rank, _, count in of_rank])),
            ("not sure", unsure, ""),
        ]
    else:
        groups = [(group, found[group]) for group in (("right", "wrong") if which == "known" else ("unknown",))]
        sure = f"with {found['sure_from']:.0%} or more"
        answers = [
            ("wrong" if group == "unknown" else group, of["answered"]["count"], f"{of['sure']['count']:,} {sure}")
            for group, of in groups
        ]
    if which == "unknown" and answers[0][:2] == ("right", 0):
        # No species that it can name is the right one.
        del answers[0]
    return [*answers, refused]


def _by(counts: list[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} by {rank}" for rank, count in counts if count)
