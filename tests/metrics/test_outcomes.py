from __future__ import annotations

import numpy as np

from butterflyer_jax.metrics import outcomes
from butterflyer_jax.metrics.classification import wilson


def test_each_photo_has_one_outcome_and_sure_answers_are_among_the_answered() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.95, 0.05], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8]])
    labels = np.array([0, 0, 1, 1, -1, -1])
    refused = np.array([False, True, False, False, True, False])
    found = outcomes.count(probabilities, labels, refused, labels >= 0)
    assert found["sure_from"] == 0.8
    counts = {group: [found[group][name]["count"] for name in ("answered", "sure", "refused")] for group in
              ("right", "wrong", "unknown")}  # fmt: skip
    assert counts == {"right": [1, 1, 1], "wrong": [2, 1, 0], "unknown": [1, 1, 1]}
    assert found["wrong"]["answered"] == {"count": 2, "share": 0.5, "interval": wilson(2, 4)}
    assert found["unknown"]["refused"] == {"count": 1, "share": 0.5, "interval": wilson(1, 2)}


def test_without_other_species_their_shares_are_none() -> None:
    found = outcomes.count(np.eye(2), np.array([0, 1]), np.zeros(2, bool), np.ones(2, bool))
    assert found["unknown"]["answered"] == {"count": 0, "share": None, "interval": [0.0, 1.0]}
    assert found["right"]["sure"]["share"] == 1


def _metrics(refused: int, ranks: dict[str, list[dict[str, object]]] | None = None) -> dict[str, object]:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.95, 0.05], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8]])
    labels = np.array([0, 0, 1, 1, -1, -1])
    found = outcomes.count(probabilities, labels, np.arange(6) == refused, labels >= 0)
    refusal = {"known": {"count": 4, "refused": int(refused < 4)}, "unknown": {"count": 2, "refused": int(refused > 3)}}
    return {"outcomes": found, "refusal": refusal} | ({} if ranks is None else {"ranks": ranks})


def test_each_photo_is_right_or_wrong_or_refused_where_no_rank_is_known() -> None:
    sure = "with 80% or more"
    assert outcomes.of_answers(_metrics(1), "known") == [
        ("right", 1, f"1 {sure}"),
        ("wrong", 2, f"1 {sure}"),
        ("refused", 1, ""),
    ]
    assert outcomes.of_answers(_metrics(4), "unknown") == [("wrong", 1, f"1 {sure}"), ("refused", 1, "")]


def test_each_photo_is_right_wrong_not_sure_or_refused_by_ranks() -> None:
    known = [{"rank": "species", "count": 2, "right": 1}, {"rank": "family", "count": 0, "right": 0}]
    unknown = [{"rank": "species", "count": 0, "right": 0}, {"rank": "family", "count": 1, "right": 1}]
    metrics = _metrics(1, {"known": known, "unknown": unknown})
    assert outcomes.of_answers(metrics, "known") == [
        ("right", 1, "1 by species"),
        ("wrong", 1, "1 by species"),
        ("not sure", 1, ""),
        ("refused", 1, ""),
    ]
    # The family of a species that the run does not know is a right answer.
    assert outcomes.of_answers(metrics, "unknown") == [
        ("right", 1, "1 by family"),
        ("wrong", 0, ""),
        ("not sure", 1, ""),
        ("refused", 0, ""),
    ]
