"""Probabilities of the species of a list alone."""

from __future__ import annotations

import numpy as np

from butterflyer_jax.metrics.calibration import among_listed

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
