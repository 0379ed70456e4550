"""Parts of photos: within them, as large and as wide as asked, drawn by (seed, epoch, index) alone."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from butterflyer_jax.config import AugmentConfig
from butterflyer_jax.data.input import crops

SIDES = st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 2000)), min_size=1, max_size=20)


def windows(
    sides: list[tuple[int, int]], config: AugmentConfig | None = None, seed: int = 0, epoch: int = 0, first: int = 0
) -> np.ndarray:
    height, width = np.array(sides, np.int32).T
    index = np.arange(first, first + len(sides), dtype=np.int32)
    return crops.random_windows(seed, epoch, index, height, width, config or AugmentConfig())


@given(SIDES, st.floats(0.01, 1), st.floats(1, 10), st.integers(0, 2**31 - 1))
def test_a_part_lies_within_its_photo(
    sides: list[tuple[int, int]], min_area: float, max_aspect: float, seed: int
) -> None:
    config = AugmentConfig(crop_min_area=min_area, crop_max_aspect=max_aspect)
    parts = windows(sides, config, seed)
    top, left, height, width = parts.T
    photo_height, photo_width = np.array(sides).T
    assert (parts >= [0, 0, 1, 1]).all()
    assert (top + height <= photo_height).all()
    assert (left + width <= photo_width).all()
    assert max(height.max(), width.max()) <= crops.largest_side(photo_height, photo_width, config)


def test_area_and_aspect_are_spread_over_their_ranges() -> None:
    _, _, height, width = windows([(256, 341)] * 5000).T
    area, aspect = height * width / (256 * 341), width / height
    assert 0.24 < area.min() < 0.27
    assert 0.97 < area.max() <= 1
    assert 0.74 < aspect.min() < 0.76
    assert 1.32 < aspect.max() < 1.35
    assert abs(np.mean(np.log(aspect[area < 0.5]))) < 0.01
    top, left, height, width = windows([(256, 341)] * 5000).T
    room = (256 - height, 341 - width)
    for place, free in zip((top, left), room, strict=True):
        assert abs((place[free > 20] / free[free > 20]).mean() - 0.5) < 0.02


def test_where_nothing_fits_it_is_the_central_part_of_an_aspect_that_is_allowed() -> None:
    whole = AugmentConfig(crop_min_area=1.0)
    np.testing.assert_array_equal(windows([(100, 1000)], whole), [[0, 433, 100, 133]])
    np.testing.assert_array_equal(windows([(1000, 100)], whole), [[433, 0, 133, 100]])


def test_draws_depend_on_seed_epoch_and_index_alone() -> None:
    sides = [(256, 300)] * 3000
    together = windows(sides)
    np.testing.assert_array_equal(together[1000:1100], windows(sides[:100], first=1000))
    np.testing.assert_array_equal(together[2047:2049], windows(sides[:2], first=2047))
    for other in (windows(sides, seed=1), windows(sides, epoch=1)):
        assert (together != other).any(axis=1).mean() > 0.99
    assert len(np.unique(together, axis=0)) > 2900


@given(SIDES, st.floats(0.1, 1))
def test_the_centre_is_the_square_that_prediction_takes(sides: list[tuple[int, int]], fraction: float) -> None:
    height, width = np.array(sides, np.int32).T
    for (top, left, h, w), (photo_height, photo_width) in zip(
        crops.central_windows(height, width, fraction).tolist(), sides, strict=True
    ):
        side = max(1, round(min(photo_height, photo_width) * fraction))
        assert (h, w) == (side, side)
        assert (top, left) == ((photo_height - side) // 2, (photo_width - side) // 2)
