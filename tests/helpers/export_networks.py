"""Networks with random weights, of every kind that the config can ask for."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from butterflyer_jax.config import DataConfig, ModelConfig
from butterflyer_jax.export import reference
from butterflyer_jax.export.network import Network, from_arrays
from butterflyer_jax.metrics import typicality
from butterflyer_jax.metrics.typicality_layers import TypicalityLayers, to_layers
from butterflyer_jax.models import create_model
from butterflyer_jax.models.features import apply_with_features
from butterflyer_jax.preprocessing.images import normalise

SPECIES = ("Monarch", "大紅斑蝶", 'Red\'s "Edge"')
KINDS: dict[str, dict[str, Any]] = {
    "vgg11, maps of 2x2": {"variant": "vgg11", "image_size": 64},
    "vgg11 normalised, odd side": {"variant": "vgg11", "batch_norm": True, "image_size": 77},
    "vgg13 gap": {"variant": "vgg13", "head": "gap", "image_size": 40, "typical": True},
    "vgg16 normalised gap": {"variant": "vgg16", "batch_norm": True, "head": "gap", "image_size": 64},
    "vgg19 normalised": {"variant": "vgg19", "batch_norm": True, "image_size": 32, "typical": True},
}


def make_network(image_size: int, temperature: float = 1.7, typical: bool = False, **model: Any) -> Network:
    """A network whose every array would show if it were left out or laid out otherwise; `typical` as of a long run."""
    shape = {"width_multiplier": 1 / 32, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.1)}
    config = ModelConfig(**shape | model)
    shapes = jax.eval_shape(
        lambda: create_model(config, len(SPECIES)).init(
            jax.random.key(0), np.zeros((1, image_size, image_size, 3)), train=False
        )
    )
    rng = np.random.default_rng(0)
    arrays = {}
    for collection in shapes.values():
        for path, x in jax.tree_util.tree_flatten_with_path(collection)[0]:
            name = "/".join(key.key for key in path)
            if name.endswith("kernel"):
                value = rng.normal(0, (2 / np.prod(x.shape[:-1])) ** 0.5, x.shape)
            elif name.endswith("var"):
                value = rng.uniform(0.5, 1.5, x.shape)
            else:
                value = rng.normal(float(name.endswith("scale")), 0.2, x.shape)
            arrays[name] = value.astype(np.float32)
    data = DataConfig(image_size=image_size, eval_crop_fraction=0.8)
    network = Network(SPECIES, config, data, image_size + 20, temperature, from_arrays(arrays))
    return dataclasses.replace(network, typicality=fit_typicality(network)) if typical else network


def fit_typicality(network: Network) -> TypicalityLayers:
    """The layers of a typicality that is fitted on noise."""
    model = create_model(network.model, len(SPECIES), jnp.float32)
    variables = reference.variables_of(network)
    images = normalise(noise(network, 60), network.model)
    features = np.asarray(apply_with_features(model, variables, images, network.model.batch_norm)[1])
    labels = np.arange(40) % len(SPECIES)
    # Noise may leave the network without any doubt.
    held_out = (features[40:], np.random.default_rng(2).normal(0, 3, (20, len(SPECIES))))
    fitted = typicality.fit(
        features[:40], labels, features[:40] + 1, *held_out, num_held_out=20, false_refusals=0.1, step=1
    )
    return to_layers(fitted)


def noise(network: Network, count: int = 5) -> np.ndarray:
    shape = (count, network.image_size, network.image_size, 3)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)
