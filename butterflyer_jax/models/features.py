"""Features of a network's layers: mean and spread of every feature map."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Float32

from butterflyer_jax.config import VARIANTS, Config, ModelConfig
from butterflyer_jax.models import batch_norm as batch_norm_lib
from butterflyer_jax.models.variables import Variables
from butterflyer_jax.models.vgg import WIDTHS, scaled
from butterflyer_jax.preprocessing import images as images_lib

LAST_LAYER = "logits"


def apply_with_features(
    model: Any, variables: Variables, x: Float[jax.Array, "batch height width 3"], batch_norm: bool
) -> tuple[Float[jax.Array, "batch num_classes"], Float32[jax.Array, "batch num_features"]]:
    """Returns the logits and the features of normalised images.

    Features are mean and standard deviation, over the positions of a map, of every channel after each ReLU of the
    convolutions. They describe how an image looks to each layer, where the logits only compare classes.

    Args:
      model: a VGG.
      variables: its variables.
      x: float32 [batch, image_size, image_size, 3].
      batch_norm: whether the network has batch normalisation, after which its ReLUs stand.

    Returns:
      Logits float32 [batch, num_classes], and features float32 [batch, num_features], 2 for each channel of each
      convolution.
    """
    layer = nn.BatchNorm if batch_norm else nn.Conv
    logits, captured = model.apply(
        variables.collections(),
        x,
        train=False,
        capture_intermediates=lambda module, _: isinstance(module, layer),
        mutable=["intermediates"],
    )
    found: list[jax.Array] = []
    for _, of_layer in sorted(captured["intermediates"].items()):
        maps = jax.nn.relu(of_layer["__call__"][0].astype(jnp.float32))
        found += _in_one_pass(maps) if model.for_cpu else (maps.mean(axis=(1, 2)), maps.std(axis=(1, 2)))
    return logits, jnp.concatenate(found, axis=-1)


def _in_one_pass(
    maps: Float32[jax.Array, "batch height width channels"],
) -> tuple[Float32[jax.Array, "batch channels"], Float32[jax.Array, "batch channels"]]:
    """Returns mean and standard deviation of maps in the formulation that is fastest on a CPU.

    XLA's sums over pixels run at a number per cycle there, and mean and deviation are two passes; see
    `models.batch_norm`. Here both are sums of eight rows at a time, of the differences from the pixel in the middle:
    squares of small differences lose no digits.
    """
    batch, height, width, channels = maps.shape
    middle = maps[:, height // 2, width // 2, None]
    differences = maps.reshape(batch, -1, channels) - middle
    sums, count = (differences, differences * differences), height * width
    while count > 1:
        rows = batch_norm_lib.rows_of(count)
        count //= rows
        parts = [array.reshape(batch, rows, count, channels) for array in sums]
        sums = jax.lax.reduce(parts, [0.0, 0.0], lambda a, b: [a[0] + b[0], a[1] + b[1]], (1,))
    mean, square = (array.reshape(batch, channels) / (height * width) for array in sums)
    return middle[:, 0] + mean, jnp.sqrt(jnp.maximum(square - mean * mean, 0))


def last_layer_inputs(
    model: Any, variables: Variables, x: Float[jax.Array, "batch height width 3"]
) -> Float32[jax.Array, "batch width_of_head"]:
    """Returns what the last layer sees of normalised images, float32 [batch, width].

    Args:
      model: a VGG.
      variables: its variables.
      x: float32 [batch, image_size, image_size, 3].
    """
    with _inputs_kept() as seen:
        model.apply(variables.collections(), x, train=False)
    return seen[0]


@contextlib.contextmanager
def _inputs_kept() -> Iterator[list[jax.Array]]:
    """Yields the list that the inputs of the last layer go to."""
    seen: list[jax.Array] = []

    def keep(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.module.name == LAST_LAYER:
            seen.append(args[0])
        return call(*args, **kwargs)

    with nn.intercept_methods(keep):
        yield seen


def num_features(config: ModelConfig, num_blocks: int) -> int:
    """Returns how many of the features, counted from the first, are those of the first blocks of the network."""
    layers = zip(VARIANTS[config.variant], WIDTHS, strict=True)
    widths = [count * scaled(width, config.width_multiplier) for count, width in layers]
    return 2 * sum(widths[:num_blocks])


def make_features(model: Any, config: Config) -> Callable[[Variables, Any], tuple[jax.Array, jax.Array, jax.Array]]:
    """Returns the jitted function (variables, uint8 [batch, side, side, 3]) -> (logits, features, last layer's inputs).

    Args:
      model: a VGG.
      config: config of its run.
    """

    @jax.jit
    def features(variables: Variables, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        x = images_lib.normalise(images, config.model)
        with _inputs_kept() as seen:
            logits, found = apply_with_features(model, variables, x, config.model.batch_norm)
        return logits, found, seen[0]

    return features
