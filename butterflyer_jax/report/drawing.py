"""Images drawn from arrays: grids of photos with captions, heat-map overlays, and confusion matrices."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Integer, UInt8

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

GRID_COLUMNS = 8
CAPTION_HEIGHT = 18
GAP = 6
FONT_SIZE = 12
# Side of a confusion matrix, pixels, in whole cells; names stand beside it where its rows have room for them.
MATRIX_SIDE = 640
MAX_CELL = 64
NAME_WIDTH = 140
# Colour of a share of 1; a share of 0 is white.
DARKEST = np.array((20, 70, 130))
# Weight of the heat map's colours in an overlay.
HEAT = 0.5


def grid(pixels: Sequence[np.ndarray] | np.ndarray, captions: Sequence[str], caption_lines: int = 1) -> Image:
    """Returns an image with a grid of photos, each above its caption.

    Args:
      pixels: uint8 [side, side, 3] for each photo, all of one side.
      captions: caption of each photo, of at most `caption_lines` lines; lines that are too long are cut.
      caption_lines: number of lines that captions have room for.
    """
    from PIL import Image, ImageDraw

    side = max(len(pixels[0]), 96)
    columns = min(GRID_COLUMNS, len(captions))
    rows = math.ceil(len(captions) / columns)
    cell_width, cell_height = side + GAP, side + caption_lines * CAPTION_HEIGHT + GAP
    picture = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), "white")
    draw = ImageDraw.Draw(picture)
    for number, (photo, caption) in enumerate(zip(pixels, captions, strict=True)):
        left, top = GAP + number % columns * cell_width, GAP + number // columns * cell_height
        picture.paste(Image.fromarray(photo).resize((side, side), Image.Resampling.NEAREST), (left, top))
        for line, text in enumerate(caption.splitlines()[:caption_lines]):
            _write(draw, (left, top + side + 2 + line * CAPTION_HEIGHT), text, side)
    return picture


def with_heat(
    pixels: UInt8[np.ndarray, "height width 3"], heat: Float[np.ndarray, "_ _"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns an image with a heat map over it, uint8 [side, side, 3].

    Args:
      pixels: uint8 [side, side, 3].
      heat: float [any, any] from 0 to 1.
    """
    import matplotlib
    from PIL import Image

    small = Image.fromarray(np.asarray(heat, np.float32))
    smooth = np.asarray(small.resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)).clip(0, 1)
    colours = matplotlib.colormaps["inferno"](smooth)[:, :, :3]
    # Where the heat is 0, the image itself, darker.
    mixed = (1 - HEAT) * pixels / 255 * (0.45 + 0.55 * smooth[:, :, None]) + HEAT * colours
    result: np.ndarray = np.rint(255 * mixed.clip(0, 1)).astype(np.uint8)
    return result


def confusion_matrix(counts: Integer[np.ndarray, "num_classes num_classes"], names: Sequence[str]) -> Image:
    """Returns an image of a confusion matrix with one row per species; cells darken with their share of the row.

    Args:
      counts: int [num_classes, num_classes], photos by (species, prediction).
      names: names of the species.
    """
    from PIL import Image, ImageDraw

    cell = min(MAX_CELL, max(1, MATRIX_SIDE // len(names)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = np.rint(255 + shares[:, :, None] * (DARKEST - 255)).astype(np.uint8)
    matrix = Image.fromarray(colours.repeat(cell, axis=0).repeat(cell, axis=1))
    if cell < FONT_SIZE + 2:
        return matrix
    picture = Image.new("RGB", (matrix.width + NAME_WIDTH, matrix.height + CAPTION_HEIGHT), "white")
    picture.paste(matrix, (NAME_WIDTH, CAPTION_HEIGHT))
    draw = ImageDraw.Draw(picture)
    _write(draw, (NAME_WIDTH, 1), "predicted, in the same order", matrix.width)
    for row, name in enumerate(names):
        middle = CAPTION_HEIGHT + row * cell + cell // 2
        _write(draw, (GAP, middle - FONT_SIZE // 2 - 1), name, NAME_WIDTH - 2 * GAP)
        for column in np.flatnonzero(counts[row]):
            ink = "white" if shares[row, column] > 0.5 else "black"
            centre = NAME_WIDTH + int(column) * cell + cell // 2
            draw.text((centre, middle), str(counts[row, column]), ink, _font(), anchor="mm")
    return picture


def _write(draw: ImageDraw, place: tuple[int, int], text: str, width: int) -> None:
    """Writes a line of text, cut to `width` pixels."""
    while text not in ("", "…") and draw.textlength(text, _font()) > width:
        text = text.removesuffix("…")[:-1] + "…"
    draw.text(place, text, "black", _font())


@functools.cache
def _font() -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(FONT_SIZE)
