"""What happens to a batch on the device before the network: flip, colour, normalisation. Pure functions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from butterflyer_jax.config import AugmentConfig, ModelConfig

# ITU-R BT.601 luma.
LUMA = (0.299, 0.587, 0.114)


def augment(images: jax.Array, keys: jax.Array, config: AugmentConfig) -> jax.Array:
    """Mirrors and recolours each photograph by draws from its own key.

    Brightness, contrast and saturation are scaled by factors drawn evenly from 1 - x to 1 + x, in this order.

    Args:
      images: uint8 [batch, height, width, 3].
      keys: PRNG keys [batch].
      config: largest changes.

    Returns:
      float32 [batch, height, width, 3] from 0 to 1.
    """
    draws = jax.vmap(lambda key: jax.random.uniform(key, (4,), minval=-1.0))(keys)
    x = images.astype(jnp.float32) / 255
    if config.flip:
        x = jnp.where(_per_photo(draws[:, 0]) < 0, x[:, :, ::-1], x)
    if config.brightness:
        x = x * (1 + config.brightness * _per_photo(draws[:, 1]))
    if config.contrast:
        mean = _grey(x).mean(axis=(1, 2, 3), keepdims=True)
        x = mean + (x - mean) * (1 + config.contrast * _per_photo(draws[:, 2]))
    if config.saturation:
        grey = _grey(x)
        x = grey + (x - grey) * (1 + config.saturation * _per_photo(draws[:, 3]))
    return x.clip(0, 1)


def normalise(images: jax.Array, config: ModelConfig) -> jax.Array:
    """Takes the mean off and divides by the standard deviation.

    Args:
      images: uint8 from 0 to 255 or float from 0 to 1, [batch, height, width, 3].
      config: its `mean` and `std`.

    Returns:
      float32 [batch, height, width, 3].
    """
    x = images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images
    return (x - jnp.asarray(config.mean, jnp.float32)) / jnp.asarray(config.std, jnp.float32)


def _per_photo(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]


def _grey(x: jax.Array) -> jax.Array:
    # A sum, not a matmul, which an accelerator may round to bfloat16.
    return (x * jnp.asarray(LUMA, x.dtype)).sum(axis=-1, keepdims=True)
