"""The translation of PyTorch's and Keras's tensors to our network: names, order of axes, colours."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from butterflyer_jax.config import IMAGENET_MEAN, IMAGENET_STD, VARIANTS
from butterflyer_jax.errors import UserError

Colour: TypeAlias = tuple[float, float, float]

# Caffe's preprocessing, which keras.applications' VGG has: BGR of 0 to 255 less a mean, undivided. In RGB of 0 to 1:
CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
CAFFE_STD = (1 / 255, 1 / 255, 1 / 255)
COLOURS: dict[str, tuple[Colour, Colour]] = {
    "caffe": (CAFFE_MEAN, CAFFE_STD),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
}
# The epsilon of Flax's batch normalisation, and of PyTorch's.
EPSILON = 1e-5
DENSE_NAMES = {0: (), 1: ("logits",), 2: ("fc1", "fc2"), 3: ("fc1", "fc2", "logits")}
# timm's head, by the numbers that torchvision gives the same layers.
TIMM_HEAD = {"pre_logits.fc1": 0, "pre_logits.fc2": 3, "head.fc": 6}
_TORCH_NAME = re.compile(
    r"(?:(?P<part>features|classifier)(?:\.(?P<number>\d+))?|(?P<head>pre_logits\.fc[12]|head\.fc))"
    r"\.(?P<tensor>weight|bias|running_mean|running_var)"
)


@dataclass(frozen=True)
class Tensor:
    """A tensor of a source, and what it is for us.

    Attributes:
      source: its name there.
      shape: its shape there.
      target: our parameter or running statistic, such as "/fc1/kernel"; empty where there is none.
      value: float32 in our layout; None where there is no target, or where it is folded into another tensor.
      how: what was done to the values; empty where nothing was.
      idle: why the network does not need it, where it is no weight of the network.
    """

    source: str
    shape: tuple[int, ...]
    target: str = ""
    value: np.ndarray | None = None
    how: str = ""
    idle: str = ""


@dataclass(frozen=True)
class Weights:
    """A source's weights in our terms.

    Attributes:
      origin: where they came from, for messages.
      variant: vgg11 to vgg19.
      batch_norm: whether each convolution is normalised.
      mean, std: mean and standard deviation of the RGB input, which ranges from 0 to 1; None for the config's own.
      tensors: all tensors of the source.
      species: names of the logits; None where they are not known.
    """

    origin: str
    variant: str
    batch_norm: bool
    mean: Colour | None
    std: Colour | None
    tensors: tuple[Tensor, ...]
    species: tuple[str, ...] | None = None


@dataclass
class _Layer:
    """A layer whose values are in our layout; `parts` are by our names: kernel, bias, scale, mean, var."""

    kind: str
    parts: dict[str, Tensor] = field(default_factory=dict)

    def add(self, part: str, source: str, array: np.ndarray, value: np.ndarray | None = None, how: str = "") -> None:
        value = np.asarray(array if value is None else value, np.float32)
        self.parts[part] = Tensor(source, array.shape, value=value, how=how)


def from_torch(arrays: Mapping[str, np.ndarray], origin: str, colours: str = "imagenet") -> Weights:
    """Returns the weights of a VGG of torchvision or timm.

    Args:
      arrays: arrays by the names of a state_dict: `features.0.weight`, and `classifier.6.bias` or `head.fc.bias`.
      origin: where they came from, for messages.
      colours: a key of `COLOURS`, or "config".

    Raises:
      UserError: it is no VGG.
    """
    groups: dict[tuple[str, int], dict[str, str]] = {}
    rest = []
    for name, array in arrays.items():
        match = _TORCH_NAME.fullmatch(name)
        if match:
            place = TIMM_HEAD[match["head"]] if match["head"] else int(match["number"] or 0)
            groups.setdefault((match["part"] or "classifier", place), {})[match["tensor"]] = name
        else:
            counter = "a counter of batches" if name.endswith("num_batches_tracked") else ""
            rest.append(Tensor(name, array.shape, idle=counter))
    layers = []
    channels = 0
    # Features before the classifier, each by number.
    for (part, _), names in sorted(groups.items(), key=lambda item: (item[0][0] == "classifier", item[0][1])):
        weight = arrays[names["weight"]] if "weight" in names else np.zeros(())
        if weight.ndim == 4 and part == "classifier":
            # timm's dense layers are convolutions over whole maps.
            layer = _Layer("dense")
            kernel = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
            layer.add("kernel", names["weight"], weight, kernel, "OIHW to HWIO, flattened")
        elif weight.ndim == 4:
            layer = _Layer("conv")
            layer.add("kernel", names["weight"], weight, weight.transpose(2, 3, 1, 0), "OIHW to HWIO")
            channels = len(weight)
        elif weight.ndim == 2:
            layer = _Layer("dense")
            layer.add("kernel", names["weight"], weight, *_dense_kernel(weight, channels))
            channels = len(weight)
        elif weight.ndim == 1 and {"running_mean", "running_var"} <= set(names):
            layer = _Layer("norm")
            for ours, theirs in {"scale": "weight", "mean": "running_mean", "var": "running_var"}.items():
                layer.add(ours, names[theirs], arrays[names[theirs]])
        else:
            rest += [Tensor(name, arrays[name].shape) for name in names.values()]
            continue
        if "bias" in names:
            layer.add("bias", names["bias"], arrays[names["bias"]])
        layers.append(layer)
    return _assemble(layers, rest, origin, colours)


def _dense_kernel(weight: np.ndarray, channels: int) -> tuple[np.ndarray, str]:
    """Returns a dense kernel [in, out] of PyTorch's [out, in], whose inputs may be maps flattened channels first."""
    num_outputs, num_inputs = weight.shape
    side = math.isqrt(num_inputs // channels) if channels else 0
    if side < 2 or channels * side * side != num_inputs:
        return weight.T, "transposed"
    maps = weight.reshape(num_outputs, channels, side, side)
    return maps.transpose(2, 3, 1, 0).reshape(num_inputs, num_outputs), "transposed, inputs CHW to HWC"


def from_keras(arrays: Mapping[str, np.ndarray], origin: str, colours: str = "caffe", epsilon: float = 1e-3) -> Weights:
    """Returns the weights of a VGG of Keras.

    Args:
      arrays: by "<layer>/<weight>", each layer's together and in Keras's order.
      origin: where they came from, for messages.
      colours: a key of `COLOURS`, or "config".
      epsilon: constant that its batch normalisations add to the variance.

    Raises:
      UserError: it is no VGG.
    """
    layers, rest = [], []
    for layer_name, names in itertools.groupby(arrays, key=lambda name: name.rpartition("/")[0]):
        weights = list(names)
        ranks = [arrays[name].ndim for name in weights]
        if ranks in ([4], [4, 1], [2], [2, 1]) and not layer_name.startswith("optimizer"):
            layer = _Layer("conv" if ranks[0] == 4 else "dense")
            for part, name in zip(("kernel", "bias"), weights, strict=False):
                layer.add(part, name, arrays[name])
            layers.append(layer)
        elif ranks == [1, 1, 1, 1]:
            layer = _Layer("norm")
            for part, name in zip(("scale", "bias", "mean"), weights, strict=False):
                layer.add(part, name, arrays[name])
            shift = np.float32(epsilon - EPSILON)
            layer.add("var", weights[3], arrays[weights[3]], arrays[weights[3]] + shift, f"plus {shift:.3g} of epsilon")
            layers.append(layer)
        else:
            rest += [_unused(name, arrays[name]) for name in weights]
    return _assemble(layers, rest, origin, colours)


def _unused(name: str, array: np.ndarray) -> Tensor:
    if name.startswith("optimizer"):
        return Tensor(name, array.shape, idle="of the optimizer")
    return Tensor(name, array.shape, idle="" if array.dtype.kind == "f" else "a counter or a seed")


def _assemble(layers: Sequence[_Layer], rest: Sequence[Tensor], origin: str, colours: str) -> Weights:
    """Names every layer as in our network, folds biases before normalisations, and puts colours in the order RGB."""
    convs, norms, denses = ([x for x in layers if x.kind == kind] for kind in ("conv", "norm", "dense"))
    variant = next((name for name, depths in VARIANTS.items() if sum(depths) == len(convs)), None)
    if variant is None:
        raise UserError(
            f"{origin} holds no VGG: it has {len(convs)} convolutions, a VGG has "
            + ", ".join(str(sum(depths)) for depths in VARIANTS.values())
        )
    if norms and len(norms) != len(convs):
        raise UserError(f"{origin} holds no VGG: {len(norms)} of its {len(convs)} convolutions are normalised")
    names = [f"block{b}_conv{k}" for b, depth in enumerate(VARIANTS[variant], 1) for k in range(1, depth + 1)]
    tensors: list[Tensor] = []

    def place(layer: _Layer, name: str) -> None:
        for part, tensor in layer.parts.items():
            target = f"/{name}/{part}"
            tensors.append(Tensor(tensor.source, tensor.shape, target, tensor.value, tensor.how))

    if colours == "caffe":
        _turn_colours(convs[0], origin)
    for conv, norm, name in itertools.zip_longest(convs, norms, names):
        bias = conv.parts.pop("bias", None) if norm else None
        place(conv, name)
        if norm:
            bn = name.replace("conv", "bn")
            if bias and bias.value is not None:
                _take_off_mean(norm, bias.value, origin)
                tensors.append(Tensor(bias.source, bias.shape, f"/{bn}/mean", how="taken off the running mean"))
            place(norm, bn)
    dense_names = DENSE_NAMES.get(len(denses))
    for number, layer in enumerate(denses):
        if dense_names is None:
            tensors.extend(Tensor(part.source, part.shape) for part in layer.parts.values())
        else:
            place(layer, dense_names[number])
    mean, std = COLOURS.get(colours, (None, None))
    return Weights(origin, variant, bool(norms), mean, std, (*tensors, *rest))


def _turn_colours(conv: _Layer, origin: str) -> None:
    kernel = conv.parts["kernel"]
    if kernel.value is None or kernel.value.shape[2] != 3:
        raise UserError(f"{origin} holds no network for colour images: its first kernel is {kernel.shape}")
    how = f"{kernel.how}, BGR to RGB".removeprefix(", ")
    conv.parts["kernel"] = Tensor(kernel.source, kernel.shape, value=kernel.value[:, :, ::-1], how=how)


def _take_off_mean(norm: _Layer, bias: np.ndarray, origin: str) -> None:
    """Folds the bias of a convolution into the running mean behind it: (x + bias) - mean = x - (mean - bias)."""
    mean = norm.parts["mean"]
    if mean.value is None or mean.value.shape != bias.shape:
        raise UserError(f"{origin} holds no VGG: a bias of {bias.shape} before a mean of {mean.shape}")
    norm.parts["mean"] = Tensor(mean.source, mean.shape, value=mean.value - bias, how="less the convolution's bias")
