"""The safetensors writer, in torchvision's layout: `load_state_dict(state, strict=True)`; no preprocessing inside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from butterflyer_jax.export.network import Network, from_arrays
from butterflyer_jax.models.weights import read as read_weights

NAME = "model.safetensors"
RUNTIME = "torch"
NEEDS = ("safetensors",)
READ_NEEDS, READ_NOTE = ("safetensors", "torch"), ""
# PyTorch only has the layers of torchvision.
HAS_TYPICALITY = False
READ = """
import json

import safetensors
import safetensors.torch
import torch
from torch import nn

with safetensors.safe_open(path, "pt") as file:
    about = {name: json.loads(text) for name, text in file.metadata().items() if name != "format"}
state = safetensors.torch.load_file(path)

# torchvision.models.vgg16(num_classes=...) is the same, where width_multiplier is 1 and image_size 224.
layers, channels = [], 3
for width in about["features"]:
    if width == "M":
        layers.append(nn.MaxPool2d(2, 2))
        continue
    layers.append(nn.Conv2d(channels, width, 3, padding=1))
    layers += [nn.BatchNorm2d(width), nn.ReLU()] if about["batch_norm"] else [nn.ReLU()]
    channels = width
if about["head"] == "gap":
    pool, classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, len(about["species"]))
else:
    pool, hidden = nn.Identity(), about["hidden"]
    classifier = nn.Sequential(
        nn.Linear(channels * about["map_side"] ** 2, hidden), nn.ReLU(), nn.Dropout(),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, len(about["species"])),
    )
model = nn.Module()
model.features, model.classifier = nn.Sequential(*layers), classifier
model.load_state_dict(state, strict=True)
model.eval()

@torch.no_grad()
def probabilities(images):
    x = (torch.tensor(images) / 255 - torch.tensor(about["mean"])) / torch.tensor(about["std"])
    x = model.features(x.permute(0, 3, 1, 2))
    logits = model.classifier(pool(x).flatten(1))
    return (logits / about["temperature"]).softmax(1).numpy()

def answer(images):
    return {"probabilities": probabilities(images)}
"""


def write(network: Network, path: Path) -> None:
    """Writes the weights; biases of torchvision's convolutions before batch normalisation are zero."""
    import safetensors.numpy

    # safetensors writes the memory of a tensor as it is, even if it is not contiguous.
    state = {name: np.ascontiguousarray(array) for name, array in tensors(network).items()}
    facts = {
        "species": network.species,
        "mean": network.model.mean,
        "std": network.model.std,
        "temperature": network.temperature,
        "image_size": network.image_size,
        "variant": network.model.variant,
        "features": _widths(network),
        "batch_norm": network.model.batch_norm,
        "head": network.model.head,
        "hidden": len(network.layers["fc1"]["bias"]) if "fc1" in network.layers else 0,
        "map_side": network.map_side,
    }
    metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}
    # Its own `save_file` writes for the owner's eyes alone.
    path.write_bytes(safetensors.numpy.save(state, metadata={"format": "pt", **metadata}))


def read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Returns the layers in a file that `write` wrote, in our layout, without PyTorch."""
    weights = read_weights(path, path.name)
    return from_arrays({x.target.strip("/"): x.value for x in weights.tensors if x.value is not None})


def tensors(network: Network) -> dict[str, np.ndarray]:
    """Returns the state_dict of torchvision's VGG; the head "gap" is one layer, `classifier`."""
    state: dict[str, np.ndarray] = {}
    number = 0
    for block in network.blocks:
        for name in block:
            layer, norm = network.layers[name], network.layers.get(name.replace("conv", "bn"))
            kernel = layer["kernel"].transpose(3, 2, 0, 1)
            state[f"features.{number}.weight"] = kernel
            state[f"features.{number}.bias"] = layer.get("bias", np.zeros(len(kernel), np.float32))
            if norm:
                number += 1
                theirs = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
                state |= {f"features.{number}.{there}": norm[here] for there, here in theirs.items()}
                state[f"features.{number}.num_batches_tracked"] = np.zeros((), np.int64)
            number += 2
        number += 1
    for place, name in enumerate(network.dense):
        kernel, bias = network.dense_channels_first(name)
        prefix = "classifier" if network.model.head == "gap" else f"classifier.{3 * place}"
        state |= {f"{prefix}.weight": kernel.T, f"{prefix}.bias": bias}
    return state


def _widths(network: Network) -> list[int | str]:
    widths: list[int | str] = []
    for block in network.blocks:
        widths += [*(network.layers[name]["kernel"].shape[-1] for name in block), "M"]
    return widths
