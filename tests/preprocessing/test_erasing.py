from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from butterflyer_jax.preprocessing.mix import AREAS, MIN_ASPECT, erase

COUNT = 400

# The sides drawn may be this many pixels longer or shorter than those of the box.
ROUNDING = np.array([-0.5, 0.5])


def erased(size: int, probability: float, seed: int = 0) -> np.ndarray:
    """Which pixels are lost, bool [COUNT, size, size]; the others are checked to be kept."""
    images = np.random.default_rng(seed).random((COUNT, size, size, 3), np.float32) + 0.1
    out = np.asarray(erase(images, jax.random.split(jax.random.key(seed), COUNT), probability))
    lost = (out == 0).all(axis=-1)
    np.testing.assert_array_equal(out[~lost], images[~lost])
    return lost


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([32, 96]))
def test_one_whole_box_of_the_papers_area_and_aspect(seed: int, size: int) -> None:
    shares = []
    for lost in erased(size, 1.0, seed):
        rows, columns = lost.any(axis=1), lost.any(axis=0)
        np.testing.assert_array_equal(lost, np.outer(rows, columns))
        assert lost.sum() == rows.sum() * columns.sum(), "nothing reaches over the edge"
        height, width = rows.sum() + ROUNDING, columns.sum() + ROUNDING
        assert height[0] * width[0] <= AREAS[1] * size**2
        assert height[1] * width[1] >= AREAS[0] * size**2
        assert height[0] / width[1] <= 1 / MIN_ASPECT
        assert height[1] / width[0] >= MIN_ASPECT
        shares.append(lost.mean())
    # Evenly drawn.
    assert np.mean(shares) == pytest.approx(sum(AREAS) / 2, abs=0.02)
    assert np.std(shares) == pytest.approx((AREAS[1] - AREAS[0]) / 12**0.5, rel=0.15)


def test_boxes_lie_anywhere() -> None:
    lost = erased(32, 1.0).mean(axis=0)
    assert (lost.sum(axis=0) > 0).all()
    assert (lost.sum(axis=1) > 0).all()
    for other in (lost[::-1], lost[:, ::-1], lost.T):
        assert abs(lost - other).max() < 0.15, "no side is preferred"


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_the_share_of_photos_that_lose_a_box(probability: float) -> None:
    assert erased(32, probability).any(axis=(1, 2)).mean() == pytest.approx(probability, abs=0.07)
