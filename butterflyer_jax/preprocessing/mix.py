"""Mixup and cutmix: each image gets a part of its neighbour in the batch, and of its neighbour's label.

Mixup (Zhang et al. 2018, arXiv:1710.09412) blends the two, cutmix (Yun et al. 2019, arXiv:1905.04899) pastes a box.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, Key, Shaped

from butterflyer_jax.config import AugmentConfig

# Ranges of Zhong et al. 2017 (arXiv:1708.04896): share of the image's area, and height over width or its inverse.
AREAS = (0.02, 0.33)
MIN_ASPECT = 0.3

NUM_QUANTILES = 4096


def swap_neighbours(x: Shaped[jax.Array, "batch ..."]) -> Shaped[jax.Array, "batch ..."]:
    """Returns the batch with rows 2k and 2k + 1 exchanged: each image's partner.

    The partner is on the same device if each device has an even number of images.
    """
    return x.reshape(len(x) // 2, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)


def mix(
    images: Float32[jax.Array, "batch height width 3"], keys: Key[jax.Array, " batch"], config: AugmentConfig
) -> tuple[Float32[jax.Array, "batch height width 3"], Float32[jax.Array, " batch"]]:
    """Mixes each image with its neighbour by draws from its own key.

    With mixup and cutmix both on, each image draws one of them with equal chance. It draws for itself, not for the
    pair: a batch holds twice as many different mixtures, and no draw depends on which image the neighbour is.

    Args:
      images: float32 [batch, height, width, 3]; batch is even.
      keys: PRNG keys [batch].
      config: augmentation config, with `mixup` and `cutmix`.

    Returns:
      The mixtures, float32 [batch, height, width, 3]; and each image's own share in its mixture, float32 [batch]
      from 0 to 1, the weight of its own label's loss. The rest is its neighbour's.
    """
    draws = jax.vmap(lambda key: jax.random.uniform(key, (4,)))(keys)
    if not config.cutmix:
        own = _mixup_shares(draws, config.mixup)
    elif not config.mixup:
        own = _cutmix_shares(draws, config.cutmix, images.shape)
    else:
        blended = (draws[:, 0] < 0.5)[:, None, None, None]
        own = jnp.where(blended, _mixup_shares(draws, config.mixup), _cutmix_shares(draws, config.cutmix, images.shape))
    return own * images + (1 - own) * swap_neighbours(images), own.mean(axis=(1, 2, 3))


def _mixup_shares(draws: jax.Array, alpha: float) -> jax.Array:
    """Returns the image's own share, the same in all its pixels, float32 [batch, 1, 1, 1]."""
    return _larger_share(draws[:, 1], alpha)[:, None, None, None]


def _cutmix_shares(draws: jax.Array, alpha: float, shape: tuple[int, ...]) -> jax.Array:
    """Returns 0 in the pixels that the neighbour's box covers and 1 elsewhere, float32 [batch, height, width, 1].

    The box has the image's aspect, its centre is drawn evenly, and the part beyond the edge is cut off, as in the
    paper.
    """
    side = jnp.sqrt(1 - _larger_share(draws[:, 1], alpha))
    height, width = shape[1] * side, shape[2] * side
    top, left = shape[1] * draws[:, 2] - height / 2, shape[2] * draws[:, 3] - width / 2
    return 1.0 - in_box(top, left, height, width, shape)


def _larger_share(draws: jax.Array, alpha: float) -> jax.Array:
    """Returns the larger of Beta(alpha, alpha) and its complement, by draws from 0 to 1.

    The larger share stays with the image's own label (MixMatch, Berthelot et al. 2019, arXiv:1905.02249), so that
    training accuracy stays meaningful. For mixup the expected loss of a pair is the same either way.
    """
    # A table: jax.random.beta samples by rejection, in loops whose end all devices must agree on.
    return jnp.asarray(1 - _smaller_shares(alpha))[(draws * NUM_QUANTILES).astype(jnp.int32)]


def _smaller_shares(alpha: float) -> np.ndarray:
    """Returns equally likely values of the smaller of Beta(alpha, alpha) and its complement, float32 [4096]."""
    # In u = t**alpha the density of t, t**(alpha - 1) * (1 - t)**(alpha - 1), has no pole at 0.
    u = np.linspace(0, 0.5**alpha, 16 * NUM_QUANTILES)
    density = (1 - u ** (1 / alpha)) ** (alpha - 1)
    cumulative = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    quantiles = (np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES
    smaller = np.interp(quantiles * cumulative[-1], cumulative, u) ** (1 / alpha)
    return smaller.astype(np.float32)


def erase(
    images: Float32[jax.Array, "batch height width 3"], keys: Key[jax.Array, " batch"], probability: float
) -> Float32[jax.Array, "batch height width 3"]:
    """Sets a box of some images to 0, which is the mean colour after normalisation.

    Place and area are drawn evenly, the aspect evenly in its logarithm, among boxes that fit into the image.

    Args:
      images: float32 [batch, height, width, 3], normalised.
      keys: PRNG keys [batch].
      probability: share of the images that lose a box.

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


def in_box(
    top: Float32[jax.Array, " batch"],
    left: Float32[jax.Array, " batch"],
    height: Float32[jax.Array, " batch"],
    width: Float32[jax.Array, " batch"],
    shape: tuple[int, ...],
) -> Bool[jax.Array, "batch _ _ 1"]:
    """Returns a mask of the pixels whose centres lie in a box.

    Args:
      top, left, height, width: float32 [batch], pixels; the box may reach over the edge.
      shape: shape of the images, [batch, height, width, channels].

    Returns:
      bool [batch, height, width, 1].
    """
    y = jnp.arange(shape[1])[:, None, None] + 0.5 - top[:, None, None, None]
    x = jnp.arange(shape[2])[:, None] + 0.5 - left[:, None, None, None]
    return (y >= 0) & (y < height[:, None, None, None]) & (x >= 0) & (x < width[:, None, None, None])
