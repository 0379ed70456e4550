"""Paired tests, against published values and each other."""

from __future__ import annotations

import numpy as np
import pytest

from butterflyer_jax.metrics import paired


def test_the_exact_test_is_a_binomial_one() -> None:
    # Both tails of 2 or fewer of 10 heads: 2 * (1 + 10 + 45) / 1024.
    assert paired.mcnemar(2, 8) == paired.mcnemar(8, 2) == pytest.approx(0.109375)
    assert paired.mcnemar(0, 0) == paired.mcnemar(3, 3) == 1
    assert paired.mcnemar(0, 6) == pytest.approx(2 / 64)


def test_the_interval_is_that_of_agresti_and_min() -> None:
    # Agresti, Categorical Data Analysis, the prime minister's ratings: 794, 150, 86, 570 of 1600; Wald gives -0.0594
    # to -0.0206, and half a voter in each cell changes little.
    value, (low, high) = paired.difference(150, 86, 1600)
    assert value == pytest.approx(-0.04)
    assert (low, high) == pytest.approx((-0.0588, -0.0212), abs=2e-4)
    # No photo differs, which does not make the interval a point.
    value, (low, high) = paired.difference(0, 0, 7)
    assert value == 0 and -high == low < -0.2
    assert paired.difference(0, 0, 0) == (0.0, [-1.0, 1.0])
    assert paired.difference(0, 2, 2)[1][1] == 1


def test_the_interval_holds_its_level_for_few_photos() -> None:
    rng = np.random.default_rng(0)
    draws = rng.multinomial(30, (0.2, 0.1, 0.7), 2000)
    held = [low <= -0.1 <= high for low, high in (paired.difference(*map(int, row[:2]), 30)[1] for row in draws)]
    assert 0.94 <= np.mean(held) <= 0.98


def test_holm_adjusts_in_order() -> None:
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([0.9, 0.8]) == [1, 1]
    assert paired.holm([]) == []
