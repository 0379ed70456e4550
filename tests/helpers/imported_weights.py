"""What the tests of imported weights share: our network with a source's weights in it."""

from __future__ import annotations

from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.numpy

from butterflyer_jax.config import Config, DataConfig, ModelConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.models import create_model, variables
from butterflyer_jax.models.weights import Weights
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.training import pretrained
from butterflyer_jax.training import state as state_lib
from tests.conftest import SPECIES


def model_config(weights: Weights, width_multiplier: float, **changes: object) -> ModelConfig:
    """Returns the config of the network that the weights are of; any mismatch is refused."""
    config = ModelConfig(
        variant=weights.variant,
        batch_norm=weights.batch_norm,
        width_multiplier=width_multiplier,
        pretrained_allow="",
        mean=weights.mean or (0, 0, 0),
        std=weights.std or (1, 1, 1),
    )
    for name, value in changes.items():
        setattr(config, name, value)
    return config


def logits(weights: Weights, images: np.ndarray, num_classes: int, config: ModelConfig) -> np.ndarray:
    """Returns our network's logits of uint8 images, through the pipeline's own normalisation."""
    model = create_model(config, num_classes)
    run = Config(data=DataConfig(image_size=images.shape[1]), model=config)
    abstract = variables.abstract_variables(model, run, sharding.make_mesh(1))
    # What is not taken would show.
    empty = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype, device=x.sharding), abstract)
    state = pretrained.insert(
        state_lib.TrainState(jnp.int32(0), empty, ()), pretrained.match(weights, abstract, config)
    )
    x = images_lib.normalise(jnp.asarray(images), config)
    return np.asarray(jax.jit(lambda v, x: model.apply(v, x, train=False))(state.variables.collections(), x))


def assert_accounted_for(printed: str, sources: list[str]) -> None:
    """Checks that every tensor of a source stands in the printed table once; what is idle may be counted together."""
    lines = [line.split() for line in printed.splitlines() if line.startswith("  ")]
    words = [word.rstrip(",").lstrip("/") for line in lines for word in line]
    more = sum(int(line[-2]) for line in lines if line[-1] == "more")
    named = [name for name in sources if words.count(name) == 1]
    assert len(named) + more == len(sources), set(sources) - set(named)


TORCH_FILES = Path(__file__).parent.parent / "models" / "torch_files"
TORCH_WIDTH = 1 / 64
PLAIN = str(TORCH_FILES / "plain.safetensors")


def config_of(source: object, **model: object) -> Config:
    fields = {"variant": "vgg11", "width_multiplier": TORCH_WIDTH, "pretrained": str(source), **model}
    return Config(data=DataConfig(image_size=64), model=ModelConfig(**fields)).validate()


def create_state(config: Config) -> state_lib.TrainState:
    model, tx = create_model(config.model, len(SPECIES)), optax.adam(0.1)
    abstract_state = state_lib.abstract_state(model, tx, config, sharding.make_mesh(1))
    return state_lib.create_state(model, tx, config, abstract_state)


def filled(config: Config, weights: Weights, species: tuple[str, ...] = SPECIES) -> state_lib.TrainState:
    state = create_state(config)
    return pretrained.insert(state, pretrained.match(weights, state.variables, config.model, species))


def write_timm_file(source: Path, target: Path) -> Path:
    """Rewrites a file of torchvision's names with timm's: dense layers before the last are convolutions there."""
    arrays = safetensors.numpy.load_file(source)
    channels = max(len(x) for name, x in arrays.items() if name.startswith("features") and x.ndim)
    for place, name in ((0, "pre_logits.fc1"), (3, "pre_logits.fc2"), (6, "head.fc")):
        weight = arrays.pop(f"classifier.{place}.weight")
        arrays[f"{name}.bias"] = arrays.pop(f"classifier.{place}.bias")
        if place < 6:
            inputs = channels if place == 0 else weight.shape[1]
            side = round((weight.shape[1] / inputs) ** 0.5)
            weight = weight.reshape(len(weight), inputs, side, side)
        arrays[f"{name}.weight"] = weight
    safetensors.numpy.save_file(arrays, target)
    return target


def write_keras_file(path: Path) -> Path:
    """Writes a VGG11 of 64 pixels and 1000 classes, at 1/64 of its width, with random weights, as Keras 1 did."""
    rng = np.random.default_rng(0)
    widths = {"block1_conv1": (3, 1), "block2_conv1": (1, 2), "block3_conv1": (2, 4), "block3_conv2": (4, 4)}
    widths |= {"block4_conv1": (4, 8), "block4_conv2": (8, 8), "block5_conv1": (8, 8), "block5_conv2": (8, 8)}
    dense = {"fc1": (32, 64), "fc2": (64, 64), "predictions": (64, 1000)}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in (*widths, *dense)]
        for name, shape in (widths | dense).items():
            kernel = ((3, 3) if name in widths else ()) + shape
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group[f"{name}_W_1:0"] = rng.normal(0, (2 / np.prod(kernel[:-1])) ** 0.5, kernel).astype(np.float32)
            group[f"{name}_b_1:0"] = rng.normal(0, 0.1, shape[-1]).astype(np.float32)
    return path
