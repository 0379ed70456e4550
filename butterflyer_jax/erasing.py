"""Random erasing, and the boxes of pixels that it shares with cutmix."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Zhong et al. 2017, arXiv:1708.04896: share of the picture's area, and height over width, or its inverse.
AREAS = (0.02, 0.33)
MIN_ASPECT = 0.3


def erase(images: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Sets a box of some photographs to 0, which is the mean colour after normalisation.

    Place and area are drawn evenly, the aspect evenly in its logarithm, of such as fit into the picture.

    Args:
      images: float32 [batch, height, width, 3], normalised.
      keys: PRNG keys [batch].
      probability: share of the photographs that lose a box.

    Returns:
      float32 [batch, height, width, 3].
    """
    draws = jax.vmap(lambda key: jax.random.uniform(key, (5,)))(keys)
    rows, columns = images.shape[1:3]
    area = AREAS[0] + (AREAS[1] - AREAS[0]) * draws[:, 1]
    aspect = jnp.maximum(MIN_ASPECT, area) ** (1 - 2 * draws[:, 2])
    height, width = jnp.round(rows * jnp.sqrt(area * aspect)), jnp.round(columns * jnp.sqrt(area / aspect))
    top, left = jnp.floor(draws[:, 3] * (rows - height + 1)), jnp.floor(draws[:, 4] * (columns - width + 1))
    erased = in_box(top, left, height, width, images.shape) & (draws[:, 0] < probability)[:, None, None, None]
    return jnp.where(erased, 0, images)


def in_box(top: jax.Array, left: jax.Array, height: jax.Array, width: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Tells which pixels' centres lie in a box.

    Args:
      top, left, height, width: float32 [batch], pixels; the box may reach over the edge.
      shape: of the images, [batch, height, width, channels].

    Returns:
      bool [batch, height, width, 1].
    """
    y = jnp.arange(shape[1])[:, None, None] + 0.5 - top[:, None, None, None]
    x = jnp.arange(shape[2])[:, None] + 0.5 - left[:, None, None, None]
    return (y >= 0) & (y < height[:, None, None, None]) & (x >= 0) & (x < width[:, None, None, None])
