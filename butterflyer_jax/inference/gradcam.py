"""Grad-CAM heat maps of where the network looks (Selvaraju et al. 2017, arXiv:1610.02391)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from butterflyer_jax.config import VARIANTS, Config
from butterflyer_jax.distributed.batch_parts import in_parts
from butterflyer_jax.preprocessing import images as images_lib

# Least side of the maps: smaller ones are too coarse to show anything.
MIN_SIDE = 7
BLOCKS = 5


def layer_for(config: Config) -> str:
    """Returns the name of the last layer whose maps have a side of at least 7; for small inputs one of block 1."""
    side = config.data.image_size
    # Side of the maps of a block's convolutions, before the pooling that ends it.
    block = max(number for number in range(1, BLOCKS + 1) if number == 1 or side >> (number - 1) >= MIN_SIDE)
    kind = "bn" if config.model.batch_norm else "conv"
    return f"block{block}_{kind}{VARIANTS[config.model.variant][block - 1]}"


def make_heat_maps(model: Any, config: Config) -> Callable[[Any, np.ndarray, np.ndarray], np.ndarray]:
    """Returns the function `(variables, images, labels) -> heat maps`.

    It takes images uint8 [batch, image_size, image_size, 3] and labels int [batch], and returns float32 [batch, side,
    side] from 0 to 1: how much each place of the last maps supports the label.
    """
    layer = layer_for(config)

    def heat_maps(variables: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
        inputs = images_lib.normalise(images, config.model)

        def score(shift: jax.Array | float) -> tuple[jax.Array, jax.Array]:
            seen: dict[str, jax.Array] = {}

            def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
                out = call(*args, **kwargs)
                if context.module.name == layer and context.method_name == "__call__":
                    # A shift of zero changes nothing; its gradient is the gradient by the maps.
                    out = nn.relu(out + shift)
                    seen["maps"] = out
                return out

            with nn.intercept_methods(intercept):
                logits = model.apply(variables.collections(), inputs, train=False)
            return jnp.take_along_axis(logits, labels[:, None], axis=1).sum(), seen["maps"]

        shape = jax.eval_shape(lambda: score(0.0)[1])
        gradient, maps = jax.grad(score, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
        weights = gradient.astype(jnp.float32).mean(axis=(1, 2), keepdims=True)
        heat = nn.relu((weights * maps.astype(jnp.float32)).sum(axis=-1))
        return heat / jnp.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-9)

    of_batch = in_parts(heat_maps, model.for_cpu)
    return lambda variables, images, labels: of_batch(variables, images, np.asarray(labels, np.int32))
