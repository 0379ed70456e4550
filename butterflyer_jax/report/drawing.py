"""Images drawn from arrays: grids of photos with captions, heat-map overlays, and confusion matrices."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Integer, UInt8

from butterflyer_jax.report import matrix

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

GRID_COLUMNS = 8
CAPTION_HEIGHT = 18
GAP = 6
FONT_SIZE = 12
# Of a confusion matrix: what was named rightly, and as another; the margin has room for a label of the columns.
RIGHT, WRONG = np.array((20, 70, 130)), np.array((170, 60, 20))
GRID = (225, 225, 225)
# Weight of the heat map's colours in an overlay.
HEAT = 0.5


def grid(
    pixels: Sequence[UInt8[np.ndarray, "side side 3"]] | UInt8[np.ndarray, "count side side 3"],
    captions: Sequence[str],
    caption_lines: int = 1,
) -> Image:
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
    return np.rint(255 * mixed.clip(0, 1)).astype(np.uint8)


def confusion_matrix(counts: Integer[np.ndarray, "num_classes num_classes"], names: Sequence[str]) -> Image:
    """Returns an image of a confusion matrix as the report lays it out: a row for each species that occurs.

    Cells darken with their share of the row. See `report.matrix.layout`.

    Args:
      counts: photos by (species, prediction).
      names: names of the species.
    """
    from PIL import Image, ImageDraw

    of = matrix.layout(counts, names)
    left, top, side = of.margin, CAPTION_HEIGHT, of.side
    picture = Image.new("RGB", (left + side + 1, top + side + 1), "white")
    draw = ImageDraw.Draw(picture)
    _write(draw, (left, 1), "predicted, in the same order", side)
    for edge in range(0, side + 1, of.cell):
        draw.line((left, top + edge, left + side, top + edge), GRID)
        draw.line((left + edge, top, left + edge, top + side), GRID)
    for cell in of.cells:
        x, y = left + cell.column * of.cell, top + cell.row * of.cell
        darkest = RIGHT if cell.row == cell.column else WRONG
        colour = tuple(np.rint(255 + cell.share * (darkest - 255)).astype(int).tolist())
        draw.rectangle((x + 1, y + 1, x + of.cell - 1, y + of.cell - 1), colour)
        if of.numbered:
            ink = "white" if cell.share > 0.5 else "black"
            draw.text((x + of.cell // 2, y + of.cell // 2), str(cell.count), ink, _font(), anchor="mm")
    for row, name in enumerate(of.names):
        _write(draw, (GAP, top + row * of.cell + (of.cell - FONT_SIZE) // 2 - 1), name, left - 2 * GAP)
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
