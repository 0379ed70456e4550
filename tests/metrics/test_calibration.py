"""Probabilities of the species of a list alone."""

from __future__ import annotations

import numpy as np
import pytest

from butterflyer_jax.metrics.calibration import among_listed, fit
from butterflyer_jax.metrics.ranks import MIN_PROBABILITY

PROBABILITIES = np.array([[0.6, 0.3, 0.1], [0.97, 0.02, 0.01], [1.0, 0.0, 0.0]], np.float32)


def test_probabilities_of_listed_species_sum_to_one() -> None:
    found, refused = among_listed(PROBABILITIES, np.array([False, False, False]), np.array([False, True, True]))
    np.testing.assert_allclose(found, [[0, 0.75, 0.25], [0, 2 / 3, 1 / 3], [0, 0.5, 0.5]], atol=1e-6)
    # What is hardly any of them gets no name, however sure the better of two is.
    assert refused.tolist() == [False, True, True]
    assert found.dtype == np.float32


def test_what_is_refused_stays_so_and_no_list_changes_nothing() -> None:
    refused = np.array([True, False, False])
    assert among_listed(PROBABILITIES, refused, np.array([True, False, False]))[1].tolist() == [True, False, False]
    same, still = among_listed(PROBABILITIES, refused, None)
    assert same is PROBABILITIES and still is refused


@pytest.mark.parametrize(("gap", "expected"), [(20.0, MIN_PROBABILITY), (0.5, 0.62)])
def test_what_is_sure_enough_for_a_name_is_not_refused_for_doubt(gap: float, expected: float) -> None:
    """Of a network that is nearly certain of all val photos, 98% are above 99%: no reason to refuse one with 81%."""
    right = np.repeat([True, False], [60, 0 if gap > 1 else 38])
    logits = np.where(right, gap, -gap)[:, None] * np.array([[1, 0]])
    threshold = fit(logits, np.zeros(len(right), int), 1).threshold
    assert threshold == pytest.approx(expected, abs=0.02)
