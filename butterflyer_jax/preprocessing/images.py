"""Preprocessing of a batch on the device before the network, as pure functions.

Training: crop and scale, mirror, zoom out, blur, recolour, a preset of RandAugment, normalise, erase, mix. Evaluation:
crop and scale, normalise. Every draw comes from the image's own key, and each operation has its own random stream:
enabling one does not change another.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int32, Key, Shaped, UInt8

from butterflyer_jax.config import AugmentConfig, Config, ModelConfig
from butterflyer_jax.preprocessing.mix import erase, mix
from butterflyer_jax.preprocessing.randaugment import PRESETS, randaugment
from butterflyer_jax.preprocessing.zoom_out import blur, zoom_out

# Streams of random numbers that share an image's key.
FLIP_STREAM, COLOUR_STREAM, RANDAUGMENT_STREAM, ERASE_STREAM, MIX_STREAM, ZOOM_OUT_STREAM, BLUR_STREAM = range(7)

# ITU-R BT.601 luma.
LUMA = (0.299, 0.587, 0.114)


def train_images(
    batch: Mapping[str, Shaped[jax.Array, "batch ..."]], keys: Key[jax.Array, " batch"], config: Config
) -> tuple[Float32[jax.Array, "batch side side 3"], Float32[jax.Array, " batch"] | None]:
    """Makes the network's input from a training batch.

    Args:
      batch: image and, where the device crops, window; see `scaled_images`.
      keys: PRNG keys [batch].
      config: config of the run.

    Returns:
      float32 [batch, image_size, image_size, 3], normalised; and each image's own share in its mixture, float32
      [batch], or None where nothing is mixed (see `preprocessing.mix.mix`).
    """
    x = augment(scaled_images(batch, config.data.image_size), keys, config.augment, config.model)
    x = normalise(x, config.model)
    if config.augment.erase_probability:
        x = erase(x, _stream(keys, ERASE_STREAM), config.augment.erase_probability)
    if not config.augment.mixes:
        return x, None
    return mix(x, _stream(keys, MIX_STREAM), config.augment)


def eval_images(
    batch: Mapping[str, Shaped[jax.Array, "batch ..."]], config: Config
) -> Float32[jax.Array, "batch side side 3"]:
    """Makes the network's input from an evaluation batch: float32 [batch, image_size, image_size, 3], normalised."""
    return normalise(scaled_images(batch, config.data.image_size), config.model)


def scaled_images(
    batch: Mapping[str, Shaped[jax.Array, "batch ..."]], image_size: int
) -> Float32[jax.Array, "batch {image_size} {image_size} 3"]:
    """Returns the images at the network's size, float32 [batch, image_size, image_size, 3] from 0 to 1.

    Args:
      batch: image uint8 [batch, height, width, 3], and where the device crops, window int32 [batch, 4]: top, left,
        height and width, in pixels, of the part that is scaled; by default the whole image.
      image_size: side of the square, pixels.
    """
    images = batch["image"]
    if "window" in batch:
        return resize_windows(images, batch["window"], image_size) / 255
    if images.shape[1:3] == (image_size, image_size):
        return images.astype(jnp.float32) / 255
    window = jnp.array([0, 0, *images.shape[1:3]], jnp.int32)
    return resize_windows(images, jnp.broadcast_to(window, (len(images), 4)), image_size) / 255


def augment(
    images: Float32[jax.Array, "batch height width 3"],
    keys: Key[jax.Array, " batch"],
    config: AugmentConfig,
    model: ModelConfig,
) -> Float32[jax.Array, "batch height width 3"]:
    """Mirrors, recolours and warps each image by draws from its own key.

    Brightness, contrast and saturation are scaled by factors drawn evenly from 1 - x to 1 + x, in this order.

    Args:
      images: float32 [batch, height, width, 3] from 0 to 1.
      keys: PRNG keys [batch].
      config: augmentation config, with the largest changes.
      model: model config; its `mean` is the colour of the area that a warp uncovers.

    Returns:
      float32 [batch, height, width, 3] from 0 to 1.
    """
    x = images
    if config.flip:
        mirrored = jax.vmap(jax.random.bernoulli)(_stream(keys, FLIP_STREAM))
        x = jnp.where(_per_photo(mirrored), x[:, :, ::-1], x)
    # Before the colours change, so that photo and surroundings are in one light.
    if config.zoom_out > 1:
        x = zoom_out(x, _stream(keys, ZOOM_OUT_STREAM), config.zoom_out)
    if config.blur:
        x = blur(x, _stream(keys, BLUR_STREAM), config.blur)
    draws = jax.vmap(lambda key: jax.random.uniform(key, (3,), minval=-1.0))(_stream(keys, COLOUR_STREAM))
    if config.brightness:
        x = x * (1 + config.brightness * _per_photo(draws[:, 0]))
    if config.contrast:
        mean = _grey(x.mean(axis=(1, 2), keepdims=True))
        x = mean + (x - mean) * (1 + config.contrast * _per_photo(draws[:, 1]))
    if config.saturation:
        grey = _grey(x)
        x = grey + (x - grey) * (1 + config.saturation * _per_photo(draws[:, 2]))
    x = x.clip(0, 1)
    if config.strength != "none":
        x = randaugment(x, _stream(keys, RANDAUGMENT_STREAM), PRESETS[config.strength], model.mean)
    return x


def normalise(
    images: Shaped[jax.Array, "batch height width 3"], config: ModelConfig
) -> Float32[jax.Array, "batch height width 3"]:
    """Subtracts the mean and divides by the standard deviation.

    Args:
      images: uint8 from 0 to 255 or float from 0 to 1, [batch, height, width, 3].
      config: model config, with `mean` and `std`.

    Returns:
      float32 [batch, height, width, 3].
    """
    x = images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images
    return (x - jnp.asarray(config.mean, jnp.float32)) / jnp.asarray(config.std, jnp.float32)


def denormalise(
    images: Float[np.ndarray, "batch height width 3"], config: ModelConfig
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Returns the pixels, uint8 [batch, height, width, 3], of images that `normalise` returned."""
    pixels = (images * np.asarray(config.std) + np.asarray(config.mean)).clip(0, 1) * 255
    return np.rint(pixels).astype(np.uint8)


def _stream(keys: jax.Array, stream: int) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, stream))(keys)


def _per_photo(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]


def _grey(x: jax.Array) -> jax.Array:
    # Channel by channel: XLA's sum over an axis of three takes 30 times as long on a CPU, and a matmul may round to
    # bfloat16 on an accelerator.
    return LUMA[0] * x[..., :1] + LUMA[1] * x[..., 1:2] + LUMA[2] * x[..., 2:]


def resize_windows(
    images: UInt8[jax.Array, "batch height width 3"], windows: Int32[jax.Array, "batch 4"], image_size: int
) -> Float32[jax.Array, "batch {image_size} {image_size} 3"]:
    """Scales a window of each image to a square; pixels outside the window have no influence.

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
    """Returns the weight of each source pixel along one axis in each target pixel.

    Args:
      start: int32 [batch], first pixel of the window.
      length: int32 [batch], length of the window, pixels.
      size: length of the source, pixels.
      target_size: length of the target, pixels.

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
