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
