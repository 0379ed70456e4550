"""Crop windows of photos, random in training and central in evaluation, in NumPy."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Int32, Integer

from butterflyer_jax.config import AugmentConfig

# Number of draws of a window before the fallback, as in Inception and torchvision.
ATTEMPTS = 10
# Number of places of an epoch for which windows are drawn at once.
_BLOCK = 1024
# Of the longer side of a box, what is seen beside it on each side.
BOX_MARGIN = 0.2
# Smallest side of what is seen around a box, as a share of the photo's short side: less has no detail.
MIN_FRAME = 0.125


def random_windows(
    seed: int,
    epoch: int,
    index: Integer[np.ndarray, " n"],
    height: Integer[np.ndarray, " n"],
    width: Integer[np.ndarray, " n"],
    config: AugmentConfig,
) -> Int32[np.ndarray, "n 4"]:
    """Returns a random crop window of each photo, drawn by (seed, epoch, index) only.

    Area is uniform and the logarithm of the aspect is (Szegedy et al. 2015, arXiv:1409.4842, as torchvision's
    RandomResizedCrop draws it); where nothing fits, it is the largest central part of an aspect that is allowed.

    Args:
      seed: seed of the run.
      epoch: number of the epoch, from 0.
      index: int [n], places in the epoch.
      height, width: int [n], sizes of the photos, pixels.
      config: augmentation config, with `crop_min_area` and `crop_max_aspect`.

    Returns:
      int32 [n, 4]: top, left, height, width, pixels.
    """
    draws = _draws(seed, epoch, index)
    height, width = height.astype(np.float64)[:, None], width.astype(np.float64)[:, None]
    area = height * width * (config.crop_min_area + (1 - config.crop_min_area) * draws[:, :ATTEMPTS])
    max_aspect = config.crop_max_aspect
    aspect = max_aspect ** (2 * draws[:, ATTEMPTS : 2 * ATTEMPTS] - 1)
    heights, widths = np.rint(np.sqrt(area / aspect)), np.rint(np.sqrt(area * aspect))
    fits = (heights <= height) & (widths <= width) & (heights >= 1) & (widths >= 1)
    # After the attempts comes the fallback, taken if none of them fits.
    last_height = np.maximum(1, np.rint(np.minimum(height, width * max_aspect)))
    last_width = np.maximum(1, np.rint(np.minimum(width, height * max_aspect)))
    choice = np.where(fits.any(axis=1), fits.argmax(axis=1), ATTEMPTS)[:, None]
    h = np.take_along_axis(np.hstack([heights, last_height]), choice, axis=1)
    w = np.take_along_axis(np.hstack([widths, last_width]), choice, axis=1)
    top, left = np.floor(draws[:, -2:-1] * (height - h + 1)), np.floor(draws[:, -1:] * (width - w + 1))
    central = choice == ATTEMPTS
    top, left = np.where(central, (height - h) // 2, top), np.where(central, (width - w) // 2, left)
    return np.hstack([top, left, h, w]).astype(np.int32)


def central_windows(
    height: Integer[np.ndarray, " n"], width: Integer[np.ndarray, " n"], fraction: float
) -> Int32[np.ndarray, "n 4"]:
    """Returns the central square of each photo, its side `fraction` of the short side, as `photo.central_crop`.

    Args:
      height, width: int [n], sizes of the photos, pixels.
      fraction: side of the square, as a share of the short side.

    Returns:
      int32 [n, 4]: top, left, height, width, pixels.
    """
    side = np.maximum(1, np.rint(np.minimum(height, width) * fraction).astype(np.int32))
    return np.stack([(height - side) // 2, (width - side) // 2, side, side], axis=1).astype(np.int32)


def frames(
    height: Integer[np.ndarray, " n"], width: Integer[np.ndarray, " n"], boxes: Float32[np.ndarray, "n 4"]
) -> Int32[np.ndarray, "n 4"]:
    """Returns the part of each photo that stands for the photo: a square around its box, else the whole.

    The square's side is that of the longer side of the box with `BOX_MARGIN` on both sides, and `MIN_FRAME` of the
    photo's short side at least. It is moved into the photo, and cut where the photo is smaller.

    Args:
      height, width: int [n], sizes of the photos, pixels.
      boxes: float32 [n, 4], left, top, right, bottom from 0 to 1, NaN for none.

    Returns:
      int32 [n, 4]: top, left, height, width, pixels.
    """
    known = ~np.isnan(boxes).any(axis=1)
    left, top, right, bottom = np.where(known[:, None], boxes, [0, 0, 1, 1]).T * np.stack([width, height] * 2)
    side = np.maximum(
        (1 + 2 * BOX_MARGIN) * np.maximum(right - left, bottom - top), MIN_FRAME * np.minimum(height, width)
    )
    found = []
    for first, last, length in ((top, bottom, height), (left, right, width)):
        size = np.where(known, np.rint(np.minimum(side, length)), length).astype(np.int32)
        start = np.rint((first + last - size) / 2).clip(0, length - size).astype(np.int32)
        found.append((start, size))
    (tops, heights), (lefts, widths) = found
    return np.stack([tops, lefts, heights, widths], axis=1).astype(np.int32)


def within(windows: Int32[np.ndarray, "n 4"], parts: Int32[np.ndarray, "n 4"]) -> Int32[np.ndarray, "n 4"]:
    """Returns windows of parts of photos as windows of the photos; both are top, left, height, width."""
    moved = windows.copy()
    moved[:, :2] += parts[:, :2]
    return moved


def largest_side(height: Integer[np.ndarray, " n"], width: Integer[np.ndarray, " n"], config: AugmentConfig) -> int:
    """Returns a side, pixels, that no random window of these photos exceeds."""
    short = int(np.minimum(height, width).max())
    return min(int(np.maximum(height, width).max()), math.ceil((short + 0.5) * config.crop_max_aspect) + 1)


def _draws(seed: int, epoch: int, index: np.ndarray) -> np.ndarray:
    """Returns float64 [n, 2 * ATTEMPTS + 2] from 0 to 1."""
    draws = np.empty((len(index), 2 * ATTEMPTS + 2))
    blocks = index // _BLOCK
    for block in np.unique(blocks):
        rows = blocks == block
        table = np.random.default_rng([seed, epoch, 2, block]).random((_BLOCK, draws.shape[1]))
        draws[rows] = table[index[rows] % _BLOCK]
    return draws
