"""RandAugment: several random changes of geometry and colour per image, by the name of a preset.

After RandAugment (Cubuk et al. 2020, arXiv:1909.13719), without branches: every image goes through every
operation, and one that it did not draw has an amount of 0, which changes nothing. The five geometric ones are one warp.
Of RandAugment's others, brightness, contrast and colour have config fields of their own; solarize and equalize make
black of a white butterfly, and gamma stands for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float32, Key


class Preset(NamedTuple):
    """Strength of RandAugment.

    Attributes:
      num_operations: number of different operations applied to each image.
      magnitude: largest amount drawn, as a share of the operation's largest.
    """

    num_operations: int
    magnitude: float


PRESETS = {
    "light": Preset(1, 0.4),
    "medium": Preset(2, 0.7),
    "strong": Preset(4, 1.0),
}

# Meaning of an amount of 1; for signed operations -1 means the opposite.
LARGEST = {
    "rotate": math.radians(30),  # anticlockwise
    "shear_x": 0.3,  # pixels a pixel
    "shear_y": 0.3,
    "translate_x": 0.25,  # share of the side
    "translate_y": 0.25,
    "autocontrast": 1.0,  # share of the way to the full range; unsigned
    "gamma": 1.0,  # exponent of 2 of the exponent
    "sharpness": 1.0,  # share of the detail that is added or, below 0, taken away
    "posterize": 1 / 6,  # distance of neighbouring levels of a range of 0 to 1; unsigned
}
OPERATIONS = tuple(LARGEST)


def randaugment(
    images: Float32[jax.Array, "batch height width 3"],
    keys: Key[jax.Array, " batch"],
    preset: Preset,
    fill: Sequence[float],
) -> Float32[jax.Array, "batch height width 3"]:
    """Applies to each image some operations, drawn from its own key.

    Args:
      images: float32 [batch, height, width, 3] from 0 to 1.
      keys: PRNG keys [batch].
      preset: number and strength of the operations.
      fill: RGB from 0 to 1 of the area that a warp uncovers.

    Returns:
      float32 [batch, height, width, 3] from 0 to 1.
    """
    return apply_operations(images, jax.vmap(lambda key: draw_amounts(key, preset))(keys), fill)


def draw_amounts(key: Key[jax.Array, ""], preset: Preset) -> Float32[jax.Array, " num_operations"]:
    """Returns float32 [len(OPERATIONS)] from -magnitude to magnitude, drawn evenly; 0 for operations not drawn."""
    which, how_much = jax.random.split(key)
    scores = jax.random.uniform(which, (len(OPERATIONS),))
    rank = (scores[:, None] < scores).sum(axis=1)
    amounts = jax.random.uniform(how_much, (len(OPERATIONS),), minval=-preset.magnitude, maxval=preset.magnitude)
    return jnp.where(rank < preset.num_operations, amounts, 0)


def apply_operations(
    images: Float32[jax.Array, "batch height width 3"],
    amounts: Float32[jax.Array, "batch num_operations"],
    fill: Sequence[float],
) -> Float32[jax.Array, "batch height width 3"]:
    """Applies all operations, each by its amount; amounts of 0 change nothing.

    Args:
      images: float32 [batch, height, width, 3] from 0 to 1.
      amounts: float32 [batch, len(OPERATIONS)] from -1 to 1.
      fill: RGB from 0 to 1 of the area that a warp uncovers.

    Returns:
      float32 [batch, height, width, 3] from 0 to 1.
    """
    amount = {name: amounts[:, i, None, None, None] * LARGEST[name] for i, name in enumerate(OPERATIONS)}
    x = _autocontrast(images, jnp.abs(amount["autocontrast"]))
    x = x ** jnp.exp2(amount["gamma"])
    x = _sharpness(x, amount["sharpness"])
    x = _posterize(x, jnp.abs(amount["posterize"]))
    # Last, so that nothing recolours the fill.
    return _warp(x, amount, fill)


def _autocontrast(x: jax.Array, amount: jax.Array) -> jax.Array:
    """Stretches each channel towards the full range."""
    low, high = x.min(axis=(1, 2), keepdims=True), x.max(axis=(1, 2), keepdims=True)
    # A channel of less than a level's difference has nothing to stretch.
    stretched = jnp.where(high - low > 1 / 255, (x - low) / jnp.maximum(high - low, 1 / 255), x)
    return x + amount * (stretched - x)


def _sharpness(x: jax.Array, amount: jax.Array) -> jax.Array:
    """Adds to each pixel its difference from Pillow's SMOOTH filter: 5 for the pixel, 1 for each neighbour."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = (box + 4 * x) / 13
    return (x + amount * (x - smooth)).clip(0, 1)


def _posterize(x: jax.Array, amount: jax.Array) -> jax.Array:
    """Rounds to levels `amount` apart."""
    return jnp.where(amount > 0, (jnp.round(x / jnp.maximum(amount, 1e-6)) * amount).clip(0, 1), x)


def _warp(images: jax.Array, amount: dict[str, jax.Array], fill: Sequence[float]) -> jax.Array:
    """Rotates, shears and shifts in one bilinear sampling; samples from outside the image are `fill`."""
    batch, height, width, channels = images.shape
    # Where each pixel of the result comes from, measured from the centre: [batch, height, width, 1].
    x = jnp.arange(width)[:, None] - (width - 1) / 2 - amount["translate_x"] * width
    y = jnp.arange(height)[:, None, None] - (height - 1) / 2 - amount["translate_y"] * height
    x, y = x + amount["shear_x"] * y, y + amount["shear_y"] * x
    cos, sin = jnp.cos(amount["rotate"]), jnp.sin(amount["rotate"])
    x, y = cos * x - sin * y, sin * x + cos * y
    # One pixel of `fill` around the image stands for all outside.
    x = jnp.clip(x + (width + 1) / 2, 0, width + 1)
    y = jnp.clip(y + (height + 1) / 2, 0, height + 1)
    colour = jnp.asarray(fill, images.dtype)
    padded = jnp.pad(images - colour, ((0, 0), (1, 1), (1, 1), (0, 0)))
    pixels = padded.reshape(batch, (height + 2) * (width + 2), channels)

    column, row = jnp.minimum(jnp.floor(x), width), jnp.minimum(jnp.floor(y), height)
    to_right, to_below = x - column, y - row
    corner = (row.astype(jnp.int32) * (width + 2) + column.astype(jnp.int32))[..., 0]
    # Gathers along one flat axis: thrice as fast on a CPU as `map_coordinates`.
    sample: Any = jax.vmap(lambda photo, index: photo.at[index].get(mode="promise_in_bounds"))
    above = sample(pixels, corner) * (1 - to_right) + sample(pixels, corner + 1) * to_right
    corner += width + 2
    below = sample(pixels, corner) * (1 - to_right) + sample(pixels, corner + 1) * to_right
    return above * (1 - to_below) + below * to_below + colour
