"""The reference answers of a network in float32, which every export is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from butterflyer_jax import runs
from butterflyer_jax.export.network import EPSILON, Network
from butterflyer_jax.models import create_model
from butterflyer_jax.preprocessing import images as images_lib

assert EPSILON == 1e-5, "flax.linen.BatchNorm's own"


def network_of(loaded: runs.LoadedModel) -> Network:
    """Returns a loaded model as a `Network` of NumPy arrays."""
    variables = loaded.variables
    layers: dict[str, dict[str, np.ndarray]] = {}
    for tree in jax.device_get((variables.params, variables.batch_stats)):
        for name, arrays in tree.items():
            layers.setdefault(name, {}).update({key: np.asarray(array, np.float32) for key, array in arrays.items()})
    config, temperature = loaded.config, loaded.calibration().temperature
    return Network(loaded.run.species, config.model, config.data, config.build.image_size, temperature, layers)


def make_function(network: Network) -> Callable[[Any], jax.Array]:
    """Returns the function from uint8 [batch, image_size, image_size, 3] to probabilities, float32 [batch, species]."""
    model: Any = create_model(network.model, len(network.species), jnp.float32)
    params = {
        name: {key: array for key, array in layer.items() if key not in ("mean", "var")}
        for name, layer in network.layers.items()
    }
    stats = {
        name: {key: layer[key] for key in ("mean", "var")} for name, layer in network.layers.items() if "mean" in layer
    }

    def probabilities(images: Any) -> jax.Array:
        x = images_lib.normalise(images, network.model)
        logits = model.apply({"params": params, "batch_stats": stats}, x, train=False)
        return jax.nn.softmax(logits / network.temperature)

    return probabilities


def make_answers(network: Network) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the compiled function from uint8 [batch, image_size, image_size, 3] to float32 [batch, species]."""
    compiled = jax.jit(make_function(network))

    def answers(images: np.ndarray) -> np.ndarray:
        # Else a GPU computes float32 in 19 bits.
        with jax.default_matmul_precision("highest"):
            return np.asarray(compiled(images))

    return answers


def answers(network: Network, images: np.ndarray) -> np.ndarray:
    """Returns the probabilities, float32 [batch, species], of uint8 [batch, image_size, image_size, 3]."""
    return make_answers(network)(images)
