from __future__ import annotations

import numpy as np

from butterflyer_jax.report import drawing, matrix


def test_a_grid_shows_every_photo_over_its_caption() -> None:
    photos = [np.full((100, 100, 3), 20 * number, np.uint8) for number in range(10)]
    picture = drawing.grid(photos, [f"number {number}\nsecond line" for number in range(10)], caption_lines=2)
    columns, side, gap = drawing.GRID_COLUMNS, 100, drawing.GAP
    cell_height = side + 2 * drawing.CAPTION_HEIGHT + gap
    assert picture.size == (columns * (side + gap) + gap, 2 * cell_height + gap)
    pixels = np.asarray(picture)
    for number in range(10):
        left, top = gap + number % columns * (side + gap), gap + number // columns * cell_height
        assert (pixels[top : top + side, left : left + side] == 20 * number).all()
        for line in range(2):
            caption = pixels[top + side + line * drawing.CAPTION_HEIGHT :][: drawing.CAPTION_HEIGHT, left : left + side]
            assert caption.min() < 100


def test_a_long_caption_is_cut_to_its_photo() -> None:
    white = np.full((96, 96, 3), 255, np.uint8)
    pixels = np.asarray(drawing.grid([white, white], ["W" * 50, ""]))
    # Nothing is written below the second photo.
    assert (pixels[drawing.GAP + 96 :, 2 * drawing.GAP + 96 + 2 :] == 255).all()


def test_a_confusion_matrix_is_darkest_where_all_of_a_row_are() -> None:
    counts = np.array([[4, 0], [3, 9]])
    laid_out = matrix.layout(counts, ["a", "b"])
    pixels = np.asarray(drawing.confusion_matrix(counts, ["a", "b"])).astype(int)
    cell = laid_out.cell
    corners = pixels[drawing.CAPTION_HEIGHT + 2 :: cell, laid_out.margin + 2 :: cell][:2, :2]
    assert (corners[0, 0] == drawing.RIGHT).all()
    assert (corners[0, 1] == 255).all()
    assert corners[0, 0].sum() < corners[1, 1].sum() < corners[1, 0].sum() < corners[0, 1].sum()


def test_of_many_species_those_with_most_mistakes_are_drawn_with_their_names() -> None:
    counts = np.eye(1000, dtype=int)
    counts[700, 3] = 5
    names = [f"Species {n}" for n in range(1000)]
    laid_out = matrix.layout(counts, names)
    assert {"Species 3", "Species 700"} < set(laid_out.names)
    picture = drawing.confusion_matrix(counts, names)
    assert picture.size == (laid_out.margin + laid_out.side + 1, drawing.CAPTION_HEIGHT + laid_out.side + 1)
    assert laid_out.side == 120 * laid_out.cell
    assert (np.asarray(picture)[:, : laid_out.margin] < 128).any(), "names stand beside the rows"
    assert np.asarray(drawing.confusion_matrix(np.zeros((3, 3), int), list("abc"))).min() < 255, "names of no photos"


def test_heat_brightens_what_speaks_for_the_name() -> None:
    heat = np.zeros((4, 4))
    heat[1, 2] = 1
    shown = drawing.with_heat(np.full((64, 64, 3), 100, np.uint8), heat).astype(int)
    assert shown.shape == (64, 64, 3)
    assert shown[24, 40].sum() > 2 * shown[60, 4].sum()
