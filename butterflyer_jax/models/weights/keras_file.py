"""Tensors out of Keras's files, without Keras: `.h5` of Keras 1 to 3, `.weights.h5` and `.keras` of Keras 3."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import h5py

# The epsilon of a BatchNormalization whose file does not say it.
DEFAULT_EPSILON = 1e-3
WEIGHTS_MEMBER = "model.weights.h5"


def read_keras(path: Path) -> tuple[dict[str, np.ndarray], float]:
    """Returns the tensors of a file of Keras, named "<layer>/<weight>", and the epsilon of its batch normalisation.

    The tensors of a layer are together, in Keras's order, and layers of one kind in the order of the model.

    Raises:
      ValueError, OSError and others: the file is damaged or holds no weights.
    """
    if path.suffix.lower() != ".keras":
        return _read_h5(path)
    with zipfile.ZipFile(path) as archive:
        arrays, _ = _read_h5(io.BytesIO(archive.read(WEIGHTS_MEMBER)))
        return arrays, _epsilon(archive.read("config.json"))


def _read_h5(file: Path | io.BytesIO) -> tuple[dict[str, np.ndarray], float]:
    import h5py

    with h5py.File(file, "r") as root:
        epsilon = _epsilon(root.attrs.get("model_config", "{}"))
        weights = root.get("model_weights", root)
        arrays = _by_attributes(weights) if "layer_names" in weights.attrs else _by_number(weights)
        if "optimizer_weights" in root:
            arrays |= {f"optimizer_weights/{name}": array for name, array in _datasets(root["optimizer_weights"])}
    return arrays, epsilon


def _by_attributes(group: h5py.Group) -> dict[str, np.ndarray]:
    """Reads the layout whose groups are layers, and whose attributes give the order."""
    arrays = {}
    for layer in map(_text, group.attrs["layer_names"]):
        for weight in map(_text, group[layer].attrs["weight_names"]):
            # The layer's own name stands before its weights' in some versions, as does the model's.
            folder, _, name = weight.rpartition("/")
            inner = folder.rpartition("/")[2]
            name = f"{inner or layer}/{name.removesuffix(':0')}"
            # Models within a model may use a name twice.
            arrays[name if name not in arrays else f"{layer}/{weight}"] = np.asarray(group[layer][weight])
    return arrays


def _by_number(group: h5py.Group) -> dict[str, np.ndarray]:
    """Reads the layout of Keras 3: `layers/conv2d_3/vars/0`, where an attribute may hold the layer's own name."""
    arrays: dict[str, np.ndarray] = {}
    for path, array in sorted(_datasets(group), key=lambda item: _natural_order(item[0])):
        folder, _, number = path.rpartition("/vars/")
        own = _text(group[f"{folder}/vars"].attrs.get("name", "")) if folder else ""
        name = f"{own or folder}/{number}"
        arrays[name if folder and name not in arrays and not path.startswith("optimizer") else path] = array
    return arrays


def _datasets(group: h5py.Group) -> list[tuple[str, np.ndarray]]:
    import h5py

    found: list[tuple[str, np.ndarray]] = []

    # Links out of the file are not followed.
    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((path, np.asarray(item)))

    group.visititems(visit)
    return found


def _natural_order(path: str) -> list[tuple[str, int]]:
    parts = [re.fullmatch(r"(.*?)_?(\d*)", part) for part in path.split("/")]
    return [(match[1], int(match[2] or 0)) for match in parts if match]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _epsilon(config: str | bytes) -> float:
    """Returns the epsilon of the batch normalisations in a model's config."""
    found: set[float] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("class_name") == "BatchNormalization":
                found.add(float(node.get("config", {}).get("epsilon", DEFAULT_EPSILON)))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(config))
    if len(found) > 1:
        raise ValueError("its batch normalisations have several epsilons")
    return found.pop() if found else DEFAULT_EPSILON
