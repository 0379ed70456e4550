"""Zoom-out and blur: a photo pasted smaller, off centre and onto other surroundings, and one out of focus.

Zoom-out after SSD (Liu et al. 2016, arXiv:1512.02325), where the surroundings are of one colour. Here they are one
colour, a random blur of colours, or the photo's own reflection, each for a third of the photos; and the photo's edge
fades out, so that no frame gives the place away. A network that has seen it relies less on what lies behind a
butterfly, and names smaller ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float32, Key

# Share of the photos that are zoomed out, or blurred, where the config asks for it.
PROBABILITY = 0.5
# Cells along a side of the random colours.
CELLS = 4
# Largest width of the fading edge, as a share of the photo.
MAX_FADE = 0.2


def zoom_out(
    images: Float32[jax.Array, "batch height width 3"], keys: Key[jax.Array, " batch"], largest: float
) -> Float32[jax.Array, "batch height width 3"]:
    """Makes half of the images smaller, by a factor from 1 to `largest`, and puts them anywhere in the frame.

    Args:
      images: float32 [batch, height, width, 3] from 0 to 1.
      keys: PRNG keys [batch].
      largest: largest factor; it is drawn evenly in its logarithm.

    Returns:
      float32 [batch, height, width, 3] from 0 to 1.
    """
    height, width = images.shape[1:3]
    draws = jax.vmap(lambda key: jax.random.uniform(key, (7,)))(keys)
    chosen = draws[:, 0] < PROBABILITY
    share = jnp.where(chosen, largest ** -draws[:, 1], 1.0)
    top, left = draws[:, 2] * (1 - share), draws[:, 3] * (1 - share)
    # Where each row and column of the frame lies in the photo, whose sides reach from 0 to 1.
    y, x = ((_centres(size) - start[:, None]) / share[:, None] for size, start in ((height, top), (width, left)))
    # A reflection continues it beyond the edges.
    reflected = _separable(images, _weights(y, height, share), _weights(x, width, share))
    fade = (MAX_FADE * draws[:, 4])[:, None, None]
    # A rounded square: the corners of a photo are background.
    distance = ((2 * y - 1) ** 4)[:, :, None] + ((2 * x - 1) ** 4)[:, None, :]
    opacity = ((1 - distance) / (4 * fade + 1e-2)).clip(0, 1)[..., None]
    around = jnp.where(_per_image(draws[:, 5] < 0.5), _blurred_colours(keys, height, width), _one_colour(keys))
    composed = around + (reflected - around) * opacity
    mirrored = _per_image(draws[:, 6] < 1 / 3)
    return jnp.where(_per_image(chosen), jnp.where(mirrored, reflected, composed), images)


def blur(
    images: Float32[jax.Array, "batch height width 3"], keys: Key[jax.Array, " batch"], largest: float
) -> Float32[jax.Array, "batch height width 3"]:
    """Blurs half of the images by a Gaussian.

    Args:
      images: float32 [batch, height, width, 3] from 0 to 1.
      keys: PRNG keys [batch].
      largest: largest standard deviation, as a share of the longer side; drawn evenly from 0.

    Returns:
      float32 [batch, height, width, 3] from 0 to 1.
    """
    draws = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)
    # Of 0.3 pixels, which blur nothing, at least.
    deviation = (largest * draws[:, 1]).clip(0.3 / max(images.shape[1:3]))[:, None, None]

    def weights(size: int) -> jax.Array:
        gaussian = jnp.exp(-0.5 * ((_centres(size)[:, None] - _centres(size)) / deviation) ** 2)
        return gaussian / gaussian.sum(axis=-1, keepdims=True)

    blurred = _separable(images, weights(images.shape[1]), weights(images.shape[2]))
    return jnp.where(_per_image(draws[:, 0] < PROBABILITY), blurred, images)


def _centres(size: int) -> jax.Array:
    """Returns the centres of the pixels along a side that reaches from 0 to 1."""
    return (jnp.arange(size) + 0.5) / size


def _weights(places: jax.Array, size: int, share: jax.Array) -> jax.Array:
    """Returns each source pixel's weight at some places, by a triangle as wide as a target pixel.

    Args:
      places: float32 [batch, size], where the source's side reaches from 0 to 1; it is reflected at both ends.
      size: length of source and target, pixels.
      share: float32 [batch], size of a source pixel in the target, target pixels.

    Returns:
      float32 [batch, size, size]; a target pixel's weights sum to 1.
    """
    centres = _centres(size)
    inside = (1 - jnp.abs(places % 2 - 1)).clip(centres[0], centres[-1])
    triangle = jnp.maximum(0, 1 - jnp.abs(inside[..., None] - centres) * (size * share[:, None, None]))
    return triangle / triangle.sum(axis=-1, keepdims=True)


def _separable(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    # In this order of axes both products are batched matrix products, as in `images.resize_windows`.
    x = jnp.einsum("bhwc,byh->bwcy", images, rows)
    return jnp.einsum("bwcy,bxw->byxc", x, columns)


def _one_colour(keys: jax.Array) -> jax.Array:
    """Returns a colour for each image, [batch, 1, 1, 3]; half are grey, as museums' boards are."""
    draws = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1), (5,)))(keys)
    grey = jnp.broadcast_to(draws[:, 3:4], (len(keys), 3))
    return jnp.where(draws[:, 4:] < 0.5, grey, draws[:, :3])[:, None, None, :]


def _blurred_colours(keys: jax.Array, height: int, width: int) -> jax.Array:
    """Returns smooth random colours, [batch, height, width, 3], as of plants out of focus."""
    cells = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 2), (CELLS, CELLS, 3)))(keys)
    # All cells of an image lie near one colour.
    colour = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 3), (1, 1, 3)))(keys)
    return jax.image.resize(0.5 * cells + 0.5 * colour, (len(keys), height, width, 3), "bilinear")


def _per_image(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]
