"""The search of an image for its most typical part: the butterfly may be small, or not in the middle."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from butterflyer_jax.data import photo

# Left, top, right, bottom, pixels.
Box: TypeAlias = tuple[int, int, int, int]

# Sides of the squares of each grid, as shares of the short side of the image; neighbours overlap by half.
SCALES = (1.0, 2 / 3, 1 / 2, 1 / 3)
# How far below the limit of refusal the score of a part must lie to be taken in place of the central square. The limit
# is meant for one look: of many parts of a picture without a butterfly, one may pass it by chance. Half of a run's val
# photos lie as far below it.
MARGIN = 2.0
# Parts are cut from an image this many times as large as the one of which the middle is taken, to be as sharp.
ENLARGED = 3
# Longer and thinner images are not looked at as a whole: a butterfly in them would be a few pixels wide, and the square
# around them would be gigabytes.
MAX_ASPECT = 10
# Finer grids are left out where there would be more parts, as of a long strip.
MAX_PARTS = 512
# Parts that the network sees at once. On a CPU 64 take twice the memory, and 7% more time for each.
BATCH = 32


@dataclass(frozen=True)
class Parts:
    """The parts of an image.

    Attributes:
      pixels: uint8 [count, image_size, image_size, 3], as the network sees them; the first is the central square.
      boxes: where they lie in the image, upright and in its own size.
      image: the image, scaled.
      places: where they lie in that.
    """

    pixels: UInt8[np.ndarray, "count image_size image_size 3"]
    boxes: Sequence[Box]
    image: Image.Image
    places: Sequence[Box]

    def shown(self, number: int) -> UInt8[np.ndarray, "side side 3"]:
        """Returns a part in the size in which it was cut, uint8 [side, side, 3]."""
        square = _squared(self.image.crop(self.places[number]))
        return np.asarray(square)


def read_parts(
    load: Callable[[int], tuple[Image.Image, tuple[int, int]]], short_side: int, crop_fraction: float, image_size: int
) -> Parts:
    """Returns the parts of an image that is read twice: as it is seen without a search, and larger.

    Args:
      load: returns the upright RGB image, scaled to a short side, and its own width and height.
      short_side: short side of the image of which the middle is taken, pixels.
      crop_fraction, image_size: the same as in `cut`.

    Raises:
      PhotoError: the image cannot be read.
    """
    small, size = load(short_side)
    centre = photo.central_crop(small, crop_fraction, image_size)
    try:
        large, _ = load(ENLARGED * short_side)
    except photo.PhotoError:
        # Too long and thin to be enlarged.
        large = small
    return cut(large, centre, size, crop_fraction, image_size)


def cut(
    image: Image.Image,
    centre: UInt8[np.ndarray, "{image_size} {image_size} 3"],
    size: tuple[int, int],
    crop_fraction: float,
    image_size: int,
) -> Parts:
    """Returns the parts of an image: the central square, the whole, and squares in a grid at several scales.

    Of a long strip the whole and the finest grids are left out; see `MAX_ASPECT` and `MAX_PARTS`.

    Args:
      image: upright RGB image, scaled.
      centre: uint8 [image_size, image_size, 3], the central square as it is seen without a search.
      size: width and height of the image in its own size, pixels.
      crop_fraction: side of the central square, as a share of the short side.
      image_size: side of the network's input, pixels.
    """
    whole = [(0, 0, *image.size)] if max(image.size) <= MAX_ASPECT * min(image.size) else []
    places = [_centre(image.size, crop_fraction), *whole, *_grid(image.size)]
    pixels = [centre, *(photo.scale_part(np.asarray(_squared(image.crop(place))), image_size) for place in places[1:])]
    scale = size[0] / image.width, size[1] / image.height
    boxes = [
        (round(left * scale[0]), round(top * scale[1]), round(right * scale[0]), round(bottom * scale[1]))
        for left, top, right, bottom in places
    ]
    return Parts(np.stack(pixels), boxes, image, places)


def choose(excess: Float[np.ndarray, " count"]) -> int:
    """Returns the number of the part that is answered for: the most typical one.

    The central square stays where no part but it is typical enough, see `MARGIN`.

    Args:
      excess: float [count], how far the score of each part lies above the limit; the first is the central square's.
    """
    best = int(excess.argmin())
    return best if excess[best] < -MARGIN else 0


def choose_all(excess_of: Callable[[np.ndarray], np.ndarray | None], images: Sequence[Parts]) -> list[int]:
    """Returns the number of the part that is answered for, of each image.

    Args:
      excess_of: `Classifier.excess` of a network with a typicality.
      images: the parts of each image.
    """
    if not images:
        return []
    pixels = np.concatenate([parts.pixels for parts in images])
    found = [excess_of(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
    excess = np.concatenate([of_batch for of_batch in found if of_batch is not None])
    ends = np.cumsum([len(parts.pixels) for parts in images])
    return [choose(of_image) for of_image in np.split(excess, ends[:-1])]


def _centre(size: tuple[int, int], crop_fraction: float) -> Box:
    side = max(1, round(min(size) * crop_fraction))
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def _grid(size: tuple[int, int]) -> list[Box]:
    squares: list[Box] = []
    for scale in SCALES:
        side = max(1, round(scale * min(size)))
        corners = itertools.product(_starts(size[1], side), _starts(size[0], side))
        of_scale = [(left, top, left + side, top + side) for top, left in corners]
        if squares and len(squares) + len(of_scale) > MAX_PARTS:
            break
        squares += of_scale
    return list(dict.fromkeys(squares))


def _starts(length: int, side: int) -> list[int]:
    """Returns where squares begin that cover a length evenly, neighbours half a side apart or nearer."""
    steps = math.ceil((length - side) / (side / 2))
    return [round(step * (length - side) / max(1, steps)) for step in range(steps + 1)]


def _squared(image: Image.Image) -> Image.Image:
    """Returns a square image: what is no square lies in the middle of its mean colour."""
    if image.width == image.height:
        return image
    mean = np.asarray(image).reshape(-1, 3).mean(axis=0).round()
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(value) for value in mean))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
