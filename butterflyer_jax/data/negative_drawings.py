"""Drawings that show no butterfly: shapes, pages of text, handwriting, and things."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# Makes an image whose random numbers are drawn; may run in any thread.
Drawing: TypeAlias = Callable[[], Image.Image]

SIDE = 160
# By which a line of text is drawn wider than it has to be: pairs of letters may stand closer than their widths say.
WIDER = 1.2
# Corners of the polygon that stands for an ellipse.
_ELLIPSE = 24
_NUM_COLOURS = 6


def plan_shapes(rng: np.random.Generator) -> Drawing:
    """Draws up to twelve rectangles, ellipses and letters on a plain ground, at times under noise."""
    image = Image.new("RGB", (SIDE, SIDE), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 13))):
        left, top = (int(x) for x in rng.integers(0, SIDE, 2))
        box = (left, top, left + int(rng.integers(1, 70)), top + int(rng.integers(1, 70)))
        match int(rng.integers(3)):
            case 0:
                draw.rectangle(box, fill=_colour(rng))
            case 1:
                draw.ellipse(box, fill=_colour(rng))
            case _:
                letters = "".join(chr(int(x)) for x in rng.integers(65, 123, 12))
                draw.text((left, top), letters, fill=_colour(rng))
    noise = rng.normal(0, rng.uniform(5, 60), (SIDE, SIDE, 3)) if rng.random() < 0.3 else None
    if noise is None:
        return lambda: image
    return lambda: Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def plan_page(rng: np.random.Generator) -> Drawing:
    """Draws lines of random letters."""
    size, left, top = int(rng.integers(7, 22)), int(rng.integers(-20, 20)), int(rng.integers(-8, 20))
    lines = []
    while top < SIDE:
        # Now and then a heading.
        height = size if rng.random() < 0.9 else round(1.6 * size)
        words = [bytes(rng.integers(97, 123, rng.integers(2, 10)).tolist()).decode() for _ in range(14)]
        lines.append((top, height, _seen_part(words, height, SIDE - left)))
        top += round(height * rng.uniform(1.2, 1.9))

    def write(ink: ImageDraw.ImageDraw) -> None:
        for top, height, line in lines:
            ink.text((left, top), line, fill=255, font=_font(height))

    return _on_paper(write, rng, turn=8)


def plan_handwriting(rng: np.random.Generator) -> Drawing:
    """Draws rows of short strokes of a pen, between lines at times."""
    spacing, slope, ruled = rng.uniform(12, 45), rng.uniform(-0.4, 0.4), rng.random() < 0.5
    width = int(rng.integers(1, 5))
    strokes: list[tuple[list[tuple[float, float]], int]] = []
    height = rng.uniform(-spacing, spacing)
    while height < 1.5 * SIDE:
        if ruled:
            strokes.append(([(0, height), (SIDE, height + slope * SIDE)], max(1, width // 2)))
        left = rng.uniform(-10, 30)
        while left < SIDE:
            size = spacing * rng.uniform(0.25, 0.8)
            moves = rng.normal(0, 0.45 * size, (int(rng.integers(2, 6)), 2)).cumsum(axis=0)
            top = height + slope * left - size / 2
            strokes.append(([(left + float(x), top + float(y)) for x, y in moves], width))
            left += size * rng.uniform(0.5, 2.5)
        height += spacing * rng.uniform(0.8, 1.5)

    def write(ink: ImageDraw.ImageDraw) -> None:
        for points, width in strokes:
            ink.line(points, fill=255, width=width, joint="curve")

    return _on_paper(write, rng, turn=20)


def plan_thing(
    rng: np.random.Generator,
) -> Callable[[Image.Image, UInt8[np.ndarray, "side side 3"], Sequence[Image.Image]], Image.Image]:
    """Plans a flower, a tower, a heap of rounds or nested polygons, near the middle.

    Returns:
      The function (ground, colours, textures) -> image: what lies behind the thing, uint8 [side, side, 3] that its
      colours are taken from, and images that fill parts of it.
    """
    middle, radius = rng.uniform(0.35, 0.65, 2) * SIDE, rng.uniform(0.2, 0.55) * SIDE
    outlines = (_flower, _tower, _heap, _nested)[int(rng.integers(4))](radius, rng)
    fills = rng.integers(_NUM_COLOURS, size=len(outlines))
    # Of half of the things, half of the parts are filled with textures.
    textured = rng.random(len(outlines)) < (0.5 if rng.random() < 0.5 else 0)
    picked, turns = rng.random(_NUM_COLOURS), rng.uniform(0, 360, 2)
    soft, radius_of_ground = rng.uniform(0, 1), rng.uniform(0, 10) if rng.random() < 0.5 else 0.0

    def draw(
        ground: Image.Image, colours: UInt8[np.ndarray, "side side 3"], textures: Sequence[Image.Image]
    ) -> Image.Image:
        image = ground.resize((SIDE, SIDE)).filter(ImageFilter.GaussianBlur(radius_of_ground))
        palette = colours.reshape(-1, 3)[(picked * colours[..., 0].size).astype(int)].tolist()
        turned = [one.resize((SIDE, SIDE)).rotate(turn) for one, turn in zip(textures, turns, strict=True)]
        on_image = ImageDraw.Draw(image)
        for outline, fill, of_texture in zip(outlines, fills.tolist(), textured, strict=True):
            corners = [(float(x), float(y)) for x, y in outline + middle]
            if of_texture:
                mask = Image.new("L", image.size, 0)
                ImageDraw.Draw(mask).polygon(corners, fill=255)
                image.paste(turned[fill % len(turned)], (0, 0), mask)
            else:
                on_image.polygon(corners, fill=tuple(palette[fill]))
        return image.filter(ImageFilter.GaussianBlur(soft))

    return draw


def _flower(radius: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns rings of petals, and a middle."""
    petals, outlines = int(rng.integers(5, 24)), []
    for length in radius * np.linspace(1, 0.2, int(rng.integers(1, 6))):
        start, width = rng.uniform(0, math.pi), length * rng.uniform(0.12, 0.25)
        for turn in start + 2 * math.pi * np.arange(petals) / petals:
            outlines.append(_ellipse(length / 2, width, turn, 0.55 * length * np.array([np.cos(turn), np.sin(turn)])))
    return [*outlines, _ellipse(0.18 * radius, 0.18 * radius, 0, np.zeros(2))]


def _tower(radius: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns storeys, one below another, and windows in some."""
    top, outlines = -radius, []
    while top < radius:
        height, width, slant = radius * rng.uniform(0.05, 0.3), radius * rng.uniform(0.3, 1), rng.uniform(0.5, 1.3)
        bottom = top + height
        outlines.append(np.array([(-width, top), (width, top), (slant * width, bottom), (-slant * width, bottom)]))
        for place in np.linspace(-0.8, 0.6, int(rng.integers(2, 9))) if rng.random() < 0.5 else ():
            left, right = place * width, (place + 0.12) * width
            upper, lower = top + 0.2 * height, top + 0.8 * height
            outlines.append(np.array([(left, upper), (right, upper), (right, lower), (left, lower)]))
        top = bottom
    return outlines


def _heap(radius: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns ellipses that lie over each other."""
    outlines = []
    for _ in range(int(rng.integers(3, 10))):
        length, width = radius * rng.uniform(0.15, 0.7, 2)
        outlines.append(_ellipse(length, width, rng.uniform(0, math.pi), rng.normal(0, 0.3 * radius, 2)))
    return outlines


def _nested(radius: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns regular polygons, each inside another."""
    corners = int(rng.integers(3, 9))
    turns = rng.uniform(0, 2 * math.pi) + 2 * math.pi * np.arange(corners) / corners
    outline = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return [radius * share * outline for share in np.linspace(1, 0.15, int(rng.integers(2, 7)))]


def _ellipse(length: float, width: float, turn: float, centre: np.ndarray) -> np.ndarray:
    """Returns the corners of a turned ellipse with these half axes, [corners, 2]."""
    turns = 2 * math.pi * np.arange(_ELLIPSE) / _ELLIPSE
    x, y = length * np.cos(turns), width * np.sin(turns)
    turned = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1)
    return np.asarray(turned + centre)


def _on_paper(write: Callable[[ImageDraw.ImageDraw], None], rng: np.random.Generator, turn: float) -> Drawing:
    """Draws writing dark on light paper or light on dark, unevenly lit, at times grainy, turned or blurred.

    Args:
      write: writes on the ink, of mode L and `SIDE` pixels square.
      rng: generator of all that is random.
      turn: largest angle, degrees.
    """
    degrees = float(rng.uniform(-turn, turn)) if rng.random() < 0.5 else None
    radius = float(rng.uniform(0, 1)) if rng.random() < 0.5 else None
    paper, letters = rng.uniform(110, 255) * rng.uniform(0.85, 1, 3), rng.uniform(0, 90, 3)
    if rng.random() < 0.2:
        paper, letters = letters, paper
    light = np.linspace(1, 1 - rng.uniform(0, 0.5), SIDE)[:: int(rng.choice([-1, 1]))]
    light = light[:, None, None] if rng.random() < 0.5 else light[:, None]
    grain = rng.normal(0, rng.uniform(0, 10), (SIDE, SIDE, 1)) if rng.random() < 0.5 else 0.0

    def draw() -> Image.Image:
        ink = Image.new("L", (SIDE, SIDE), 0)
        write(ImageDraw.Draw(ink))
        if degrees is not None:
            ink = ink.rotate(degrees, resample=Image.Resampling.BILINEAR)
        if radius is not None:
            ink = ink.filter(ImageFilter.GaussianBlur(radius))
        covered = np.asarray(ink, np.float64)[:, :, None] / 255
        pixels = (paper * (1 - covered) + letters * covered) * light + grain
        return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))

    return draw


def _seen_part(words: Iterable[str], height: int, width: int) -> str:
    """Returns the line of the words that are needed to fill `width` pixels: the rest would cost most of the time."""
    widths, line, length = _widths(height), [], 0.0
    for word in words:
        line.append(word)
        length += widths[" "] + sum(widths[letter] for letter in word)
        if length > WIDER * width:
            break
    return " ".join(line)


@functools.cache
def _font(height: int) -> ImageFont.FreeTypeFont:
    """Returns the font of Pillow, of a height in pixels."""
    font = ImageFont.load_default(height)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@functools.cache
def _widths(height: int) -> dict[str, float]:
    """Returns the widths of a space and the small letters, pixels."""
    return {letter: _font(height).getlength(letter) for letter in " abcdefghijklmnopqrstuvwxyz"}


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(x) for x in rng.integers(0, 256, 3))
    return red, green, blue
