"""Random variables of a network that cost no compilation: its own initialisation compiles a hundred programs."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import numpy as np


def random_variables(model: nn.Module, images: jax.Array, seed: int = 0) -> dict[str, Any]:
    """Returns variables of a network for images; its activations keep their scale from layer to layer."""
    rng = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], x: jax.ShapeDtypeStruct) -> jax.Array:
        value = np.full(x.shape, path[-1].key in ("scale", "var"), x.dtype)
        if path[-1].key == "kernel":
            value = rng.normal(0, (2 / np.prod(x.shape[:-1])) ** 0.5, x.shape).astype(x.dtype)
        return jax.numpy.asarray(value)

    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    variables: dict[str, Any] = jax.tree.map_with_path(draw, shapes)
    return variables
