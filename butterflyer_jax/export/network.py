"""A trained network as NumPy arrays and facts, the common source of all export formats, without JAX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from butterflyer_jax.config import VARIANTS, DataConfig, ModelConfig
from butterflyer_jax.metrics.typicality_layers import TypicalityLayers

# Of Flax's batch normalisation, and PyTorch's.
EPSILON = 1e-5
DENSE = ("fc1", "fc2", "logits")
# Names of the outputs, in every format.
PROBABILITIES, TYPICALITY = "probabilities", "typicality"


@dataclass(frozen=True)
class Network:
    """A trained VGG.

    Attributes:
      species: names of the species, in the order of the logits.
      model: model config.
      data: data config: how an image becomes the network's input.
      short_side: length to which the short side of an image is scaled before the central crop, pixels.
      temperature: divisor of the logits.
      layers: float32 arrays by layer and name: kernel [3, 3, in, out] or [in, out], bias, and of batch normalisations
        scale, bias, mean and var.
      typicality: layers of the score by which answers are refused; None of a run without it.
    """

    species: tuple[str, ...]
    model: ModelConfig
    data: DataConfig
    short_side: int
    temperature: float
    layers: Mapping[str, Mapping[str, np.ndarray]]
    typicality: TypicalityLayers | None = None

    @property
    def image_size(self) -> int:
        """Side of the input, pixels."""
        return self.data.image_size

    @property
    def blocks(self) -> list[list[str]]:
        """Names of the convolutions, block by block; a 2x2 max-pool ends each."""
        depths = VARIANTS[self.model.variant]
        return [[f"block{b}_conv{c}" for c in range(1, 1 + depth)] for b, depth in enumerate(depths, 1)]

    @property
    def dense(self) -> list[str]:
        """Names of the dense layers."""
        return [name for name in DENSE if name in self.layers]

    @property
    def map_side(self) -> int:
        """Side of the last maps, pixels."""
        return self.image_size >> len(VARIANTS[self.model.variant])

    @property
    def num_bytes(self) -> int:
        """Size of all arrays, bytes."""
        return sum(array.nbytes for layer in self.layers.values() for array in layer.values())

    def scale_and_offset(self) -> tuple[Float32[np.ndarray, 3], Float32[np.ndarray, 3]]:
        """Returns scale and offset, float32 [3] each: `pixels * scale + offset` normalises pixels from 0 to 255."""
        mean, std = np.array(self.model.mean), np.array(self.model.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def convolution(
        self, name: str
    ) -> tuple[Float32[np.ndarray, "3 3 inputs outputs"], Float32[np.ndarray, " outputs"]]:
        """Returns kernel [3, 3, in, out] and bias [out] of a convolution, with its batch normalisation folded in."""
        layer, norm = self.layers[name], self.layers.get(name.replace("conv", "bn"))
        if norm is None:
            return layer["kernel"], layer["bias"]
        factor = norm["scale"] / np.sqrt(norm["var"] + EPSILON)
        return layer["kernel"] * factor, norm["bias"] - norm["mean"] * factor

    def dense_channels_first(
        self, name: str
    ) -> tuple[Float32[np.ndarray, "inputs outputs"], Float32[np.ndarray, " outputs"]]:
        """Returns kernel [in, out] and bias [out] of a dense layer for maps that are flattened channels first."""
        kernel, bias = self.layers[name]["kernel"], self.layers[name]["bias"]
        if name == "fc1":
            side = self.map_side
            kernel = kernel.reshape(side, side, -1, kernel.shape[1]).transpose(2, 0, 1, 3).reshape(kernel.shape)
        return kernel, bias


def to_arrays(network: Network) -> dict[str, np.ndarray]:
    """Returns the layers as arrays by "<layer>/<name>", for a file of NumPy."""
    return {f"{layer}/{name}": array for layer, arrays in network.layers.items() for name, array in arrays.items()}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the layers that `to_arrays` flattened."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for path, array in arrays.items():
        layer, _, name = path.partition("/")
        layers.setdefault(layer, {})[name] = array
    return layers


def num_parameters(network: Network) -> int:
    """Returns the number of trained parameters."""
    statistics = ("/mean", "/var")
    return sum(math.prod(array.shape) for name, array in to_arrays(network).items() if not name.endswith(statistics))
