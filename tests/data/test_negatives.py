"""Images that show no butterfly, drawn from photos that do."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax.data.negatives import draw_negative, draw_shift


def photo(width: int = 90, height: int = 60) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def test_all_kinds_are_drawn_and_the_same_numbers_draw_the_same() -> None:
    drawn = [draw_negative(photo(), np.random.default_rng(seed)) for seed in range(40)]
    again = [draw_negative(photo(), np.random.default_rng(seed)) for seed in range(40)]
    assert all(one.mode == "RGB" for one in drawn)
    assert [one.tobytes() for one in drawn] == [one.tobytes() for one in again]
    assert len({one.tobytes() for one in drawn}) > 30


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (8, 8)])
def test_any_size_of_photo_will_do(size: tuple[int, int]) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert min(draw_negative(photo(*size), rng).size) >= 1
        assert draw_shift(photo(*size), rng).size == size
