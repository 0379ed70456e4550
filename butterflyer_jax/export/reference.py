"""The reference answers of a network in float32, which every export is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from butterflyer_jax import runs
from butterflyer_jax.distributed import compiler
from butterflyer_jax.export.network import EPSILON, PROBABILITIES, TYPICALITY, Network
from butterflyer_jax.metrics import typicality_layers
from butterflyer_jax.models import create_model
from butterflyer_jax.models.features import apply_with_features
from butterflyer_jax.models.variables import Variables
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
    typicality = loaded.typicality()
    return Network(
        loaded.run.species,
        config.model,
        config.data,
        config.build.image_size,
        temperature,
        layers,
        None if typicality is None else typicality_layers.to_layers(typicality),
    )


def variables_of(network: Network) -> Variables:
    """Returns the layers as variables of our model."""
    params = {
        name: {key: array for key, array in layer.items() if key not in ("mean", "var")}
        for name, layer in network.layers.items()
    }
    stats = {
        name: {key: layer[key] for key in ("mean", "var")} for name, layer in network.layers.items() if "mean" in layer
    }
    return Variables(params, stats)


def make_function(network: Network) -> Callable[[Any], dict[str, jax.Array]]:
    """Returns the function from uint8 [batch, image_size, image_size, 3] to the outputs by name.

    They are probabilities, float32 [batch, species], and, where the network has one, typicality, float32 [batch].
    """
    model: Any = create_model(network.model, len(network.species), jnp.float32)
    variables, typicality = variables_of(network), network.typicality

    def answer(images: Any) -> dict[str, jax.Array]:
        x = images_lib.normalise(images, network.model)
        if typicality is None:
            logits = model.apply(variables.collections(), x, train=False)
            return {PROBABILITIES: jax.nn.softmax(logits / network.temperature)}
        logits, features = apply_with_features(model, variables, x, network.model.batch_norm)
        return {
            PROBABILITIES: jax.nn.softmax(logits / network.temperature),
            TYPICALITY: typicality_layers.score(jnp, typicality, features, logits),
        }

    return answer


def make_answers(network: Network, once: bool = False) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Returns the compiled function from uint8 [batch, image_size, image_size, 3] to the outputs by name.

    Args:
      network: the network.
      once: whether it is called once, and so compiled in less time.
    """
    compiled = jax.jit(make_function(network), compiler_options=compiler.options_to_run_once() if once else None)

    def answers(images: np.ndarray) -> dict[str, np.ndarray]:
        # Else a GPU computes float32 in 19 bits.
        with jax.default_matmul_precision("highest"):
            return {name: np.asarray(array) for name, array in compiled(images).items()}

    return answers


def answers(network: Network, images: UInt8[np.ndarray, "batch side side 3"]) -> dict[str, np.ndarray]:
    """Returns the outputs by name, of uint8 [batch, image_size, image_size, 3]; see `make_function`."""
    return make_answers(network, once=True)(images)
