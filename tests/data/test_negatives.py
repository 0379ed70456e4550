"""Images that show no butterfly, drawn from photos that do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter

from butterflyer_jax.data.negative_drawings import SIDE, Drawing, plan_handwriting, plan_page, plan_thing
from butterflyer_jax.data.negatives import draw_negative, plan_shift, plan_view


def photo(width: int = 90, height: int = 60) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def test_all_kinds_are_drawn_and_the_same_numbers_draw_the_same() -> None:
    drawn = [draw_negative(photo(), np.random.default_rng(seed)) for seed in range(40)]
    again = [draw_negative(photo(), np.random.default_rng(seed)) for seed in range(40)]
    assert all(one.mode == "RGB" for one in drawn)
    assert [one.tobytes() for one in drawn] == [one.tobytes() for one in again]
    assert len({one.tobytes() for one in drawn}) > 30


@pytest.mark.parametrize("plan", [plan_handwriting, plan_page])
def test_writing_stands_out_from_its_paper(plan: Callable[[np.random.Generator], Drawing]) -> None:
    contrasts = []
    for seed in range(20):
        # Without the grain; the light changes by less than that in a square of 20 pixels.
        drawn = plan(np.random.default_rng(seed))().convert("L").filter(ImageFilter.GaussianBlur(1))
        squares = np.asarray(drawn, np.float64).reshape(8, 20, 8, 20).swapaxes(1, 2).reshape(64, 400)
        contrasts.append(np.subtract(*np.percentile(squares, (95, 5), axis=1)).max())
    assert np.median(contrasts) > 30


def test_a_thing_has_the_colours_of_the_photo_and_leaves_some_of_the_ground() -> None:
    ground, orange = Image.new("RGB", (40, 40), (0, 0, 255)), np.full((SIDE, SIDE, 3), (255, 128, 0), np.uint8)
    shapes = set()
    for seed in range(40):
        drawn = plan_thing(np.random.default_rng(seed))(ground, orange, [Image.fromarray(orange)] * 2)
        pixels = np.asarray(drawn)
        covered = (pixels[..., 0] > pixels[..., 2]).mean()
        assert 0.02 < covered < 0.95, seed
        assert (pixels[0, 0] == (0, 0, 255)).all() or covered > 0.3
        shapes.add(drawn.tobytes())
    assert len(shapes) == 40


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (8, 8)])
def test_any_size_of_photo_will_do(size: tuple[int, int]) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert min(draw_negative(photo(*size), rng).size) >= 1
        assert plan_shift(photo(*size), rng)().size == size
        width, height = plan_view(photo(*size), photo(9, 5), rng)().size
        assert 1 <= width == height <= min(size)


def test_views_show_the_photo_closer_smaller_on_itself_and_smaller_on_another() -> None:
    own, other = Image.new("RGB", (60, 60), (0, 0, 200)), Image.new("RGB", (60, 60), (200, 0, 0))
    own.paste((0, 200, 0), (20, 20, 40, 40))
    greens, foreign = [], 0
    for seed in range(60):
        pixels = np.asarray(plan_view(own, other, np.random.default_rng(seed))()).astype(int)
        # The largest of the three: of any brightness and white balance.
        share = np.bincount(pixels.argmax(axis=2).ravel(), minlength=3) / len(pixels) ** 2
        greens.append(share[1])
        foreign += share[0] > 0.2
    assert min(greens) < 0.06 and max(greens) > 0.16
    assert 5 <= foreign <= 20
