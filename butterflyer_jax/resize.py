"""Crops and scales a batch on the device, as Pillow's antialiased BILINEAR does it."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def resize_windows(images: jax.Array, windows: jax.Array, image_size: int) -> jax.Array:
    """Scales a window of each photograph to a square; what lies outside the window has no influence.

    The filter is separable: a triangle, as wide as a source pixel where it enlarges and as a target pixel where it
    shrinks. An empty window, which padding of a batch has, gives zeros.

    Args:
      images: uint8 [batch, height, width, 3].
      windows: int32 [batch, 4], top, left, height and width in pixels, within the image.
      image_size: side of the square, pixels.

    Returns:
      float32 [batch, image_size, image_size, 3] from 0 to 255.
    """
    top, left, height, width = windows.T
    rows = _triangle_weights(top, height, images.shape[1], image_size)
    columns = _triangle_weights(left, width, images.shape[2], image_size)
    # Default precision suffices: pixels are exact in TF32 and in bfloat16, and three roundings, of both weights and of
    # the first product, move a value of 255 by less than 0.75 levels with a GPU's TF32 (cut off at 2**-10) and by less
    # than 3 with a TPU's bfloat16 (rounded to 2**-8).
    # With the axes in this order both products are batched matrix products as they lie in memory; only the small
    # result is transposed.
    x = jnp.einsum("bhwc,byh->bwcy", images.astype(jnp.float32), rows)
    return jnp.einsum("bwcy,bxw->byxc", x, columns)


def _triangle_weights(start: jax.Array, length: jax.Array, size: int, target_size: int) -> jax.Array:
    """Returns what each source pixel along one axis weighs in each target pixel.

    Args:
      start: int32 [batch], first pixel of the window.
      length: int32 [batch], pixels of the window.
      size: pixels of the source.
      target_size: pixels of the target.

    Returns:
      float32 [batch, target_size, size]; a target pixel's weights sum to 1, and are 0 outside the window.
    """
    start, length = start[:, None, None], length[:, None, None]
    scale = length / target_size
    pixel = jnp.arange(size) - start
    centre = (jnp.arange(target_size)[:, None] + 0.5) * scale
    weights = jnp.maximum(0, 1 - jnp.abs(pixel + 0.5 - centre) / jnp.maximum(scale, 1))
    weights = jnp.where((pixel >= 0) & (pixel < length), weights, 0)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1)
