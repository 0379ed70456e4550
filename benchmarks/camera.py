"""Changes of square photos that imitate another camera and another place; see `shifts.py`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

# (photo, random numbers, photos that surroundings are taken from) -> changed photo.
Change: TypeAlias = Callable[[Image.Image, np.random.Generator, Sequence[Image.Image]], Image.Image]


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def _gains(red: float, green: float, blue: float) -> Change:
    return lambda image, rng, others: _image(np.asarray(image) * np.array([red, green, blue]))


def _jpeg(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def _hard(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    return ImageEnhance.Color(ImageEnhance.Contrast(image).enhance(1.6)).enhance(1.4)


def _vignette(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    across = np.linspace(-1, 1, image.width) ** 2 / 2
    return _image(np.asarray(image) * (1 - 0.85 * (across[:, None] + across))[..., None])


def _dappled(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    spots = Image.fromarray((rng.random((5, 5)) * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    return _image(np.asarray(image) * (0.35 + np.asarray(spots) / 255)[..., None])


def _motion(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    side, turn, length = image.width, rng.uniform(0, math.pi), 0.05 * image.width
    margin = int(length) + 1
    padded = np.pad(np.asarray(image, np.float64), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    total = np.zeros((side, side, 3))
    for place in np.linspace(-0.5, 0.5, 9):
        down, right = (margin + round(length * place * way) for way in (math.sin(turn), math.cos(turn)))
        total += padded[down : down + side, right : right + side]
    return _image(total / 9)


def _noise(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    of_light, of_colours = rng.normal(0, 22, (*image.size, 1)), rng.normal(0, 10, (*image.size, 3))
    return _image(np.asarray(image) + of_light + of_colours)


def _part(image: Image.Image, left: int, top: int, side: int) -> Image.Image:
    return image.crop((left, top, left + side, top + side)).resize(image.size)


def _stretched(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    kept = round(image.width / 1.35)
    cut = (image.width - kept) // 2
    box = (cut, 0, cut + kept, image.width) if rng.random() < 0.5 else (0, cut, image.width, cut + kept)
    return image.crop(box).resize(image.size)


def _at_the_edge(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    side = round(0.68 * image.width)
    left, top = (int(rng.integers(2)) * (image.width - side) for _ in range(2))
    return _part(image, left, top, side)


def _turned(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    side, margin = image.width, image.width // 3
    padded = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    degrees = rng.uniform(40, 100) * (1, -1)[int(rng.integers(2))]
    turned = Image.fromarray(padded).rotate(degrees, Image.Resampling.BILINEAR)
    return turned.crop((margin, margin, margin + side, margin + side))


def _ground(side: int, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    """Returns a corner of another photo: real surroundings, as a rule."""
    other = others[int(rng.integers(len(others)))]
    part = int(0.36 * other.width)
    left, top = (int(rng.integers(2)) * (other.width - part) for _ in range(2))
    return other.crop((left, top, left + part, top + part)).resize((side, side))


def _round_mask(side: int, share: float) -> Image.Image:
    """Returns a mask of the middle with soft edges."""
    mask, margin = Image.new("L", (side, side), 0), side * (1 - share) / 2
    ImageDraw.Draw(mask).ellipse((margin, margin, side - margin, side - margin), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(0.06 * side))


def _small(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    side, small = image.width, image.width // 2
    frame = _ground(side, rng, others)
    place = int(rng.integers(0, side - small)), int(rng.integers(0, side - small))
    frame.paste(image.resize((small, small)), place, _round_mask(small, 0.86))
    return frame


def _elsewhere(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    frame = _ground(image.width, rng, others)
    frame.paste(image, (0, 0), _round_mask(image.width, 0.84))
    return frame


def _behind_a_leaf(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    side = image.width
    frame, mask = image.copy(), Image.new("L", image.size, 0)
    leaf = _ground(side, rng, others)
    middle, turn = rng.uniform(0.15, 0.85, 2) * side, rng.uniform(0, math.pi)
    around = np.linspace(0, 2 * math.pi, 30)
    x, y = side * rng.uniform(0.3, 0.5) * np.cos(around), side * rng.uniform(0.08, 0.16) * np.sin(around)
    outline = np.stack([x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)], axis=1)
    ImageDraw.Draw(mask).polygon([(float(a), float(b)) for a, b in outline + middle], fill=255)
    frame.paste(leaf, (0, 0), mask.filter(ImageFilter.GaussianBlur(2)))
    return frame


LIGHT: dict[str, Change] = {
    "warm": _gains(1.18, 1, 0.72),
    "cold": _gains(0.76, 0.95, 1.2),
    "hazy": lambda image, rng, others: _image(0.5 * np.asarray(image) + 110),
    "hard contrast": _hard,
    "dull colours": lambda image, rng, others: ImageEnhance.Color(image).enhance(0.45),
    "dark corners": _vignette,
    "dappled light": _dappled,
}
PLACE: dict[str, Change] = {
    "another aspect": _stretched,
    "closer": lambda image, rng, others: _part(image, *2 * (round(0.17 * image.width),), round(0.66 * image.width)),
    "small, a fifth of the frame": _small,
    "surroundings of another photo": _elsewhere,
    "cut off at the edge": _at_the_edge,
    "turned by 40 to 100 degrees": _turned,
    "behind a leaf": _behind_a_leaf,
}
OPTICS: dict[str, Change] = {
    "JPEG of quality 30": _jpeg,
    "sharpened": lambda image, rng, others: image.filter(ImageFilter.UnsharpMask(2, 200, 0)),
    "blurred by motion": _motion,
    "noise": _noise,
    "48 pixels": lambda image, rng, others: image.resize((48, 48), Image.Resampling.BOX).resize(image.size),
}
CHANGES = {**LIGHT, **PLACE, **OPTICS}


def three_at_once(image: Image.Image, rng: np.random.Generator, others: Sequence[Image.Image]) -> Image.Image:
    """Returns the photo with one change of place, one of light and one of the optics."""
    for kinds in (PLACE, LIGHT, OPTICS):
        image = list(kinds.values())[int(rng.integers(len(kinds)))](image, rng, others)
    return image
