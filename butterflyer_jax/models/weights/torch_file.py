"""Tensors out of PyTorch's files: `.safetensors` without PyTorch, `.pth` and `.pt` by PyTorch where it is installed.

A pickle can name any function to call, and PyTorch's own reader (`weights_only`) is the one that guards against that.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from butterflyer_jax.errors import UserError

# A checkpoint of a training program keeps its weights under one of these.
NESTS = ("state_dict", "model_state_dict", "model")
# What wrappers put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.")
SAFETENSORS_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def read_pth(path: Path, origin: str) -> dict[str, np.ndarray]:
    """Returns the tensors of a file that `torch.save(model.state_dict(), path)` wrote; 16-bit floats become float32.

    Args:
      path: a local file.
      origin: where it came from, for messages.

    Raises:
      UserError: PyTorch is not installed.
      ValueError and others: the file is damaged, or holds something other than tensors by name.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{origin} is a pickle, which only PyTorch reads, and it is not installed: take the weights as "
            "safetensors (model.pretrained=imagenet, timm:NAME, hf://OWNER/NAME or a .safetensors file), or "
            "install torch"
        ) from error
    try:
        tree = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch advises to run whatever code the file holds.
        raise ValueError("it holds more than tensors; write it with torch.save(model.state_dict())") from error
    for nest in NESTS:
        if isinstance(tree, Mapping) and isinstance(tree.get(nest), Mapping):
            tree = tree[nest]
    if not isinstance(tree, Mapping) or not all(isinstance(name, str) for name in tree):
        raise ValueError(f"it holds a {type(tree).__name__}, not tensors by name")
    return _without_prefix({name: _array(x) for name, x in tree.items() if isinstance(x, torch.Tensor)})


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a safetensors file.

    Raises:
      ValueError and others: the file is damaged.
    """
    import safetensors

    arrays = {}
    for name, entry in safetensors.deserialize(path.read_bytes()):
        if entry["dtype"] not in SAFETENSORS_DTYPES:
            raise ValueError(f"tensor {name} is of dtype {entry['dtype']}")
        arrays[name] = np.frombuffer(entry["data"], SAFETENSORS_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return _without_prefix(arrays)


def read_facts(path: Path) -> dict[str, Any]:
    """Returns what a safetensors file that this package exported says of itself: species, mean, std and more.

    Empty for files of other programs.
    """
    import safetensors

    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
    if not {"species", "mean", "std"} <= set(metadata):
        return {}
    return {name: json.loads(text) for name, text in metadata.items() if name != "format"}


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    array: np.ndarray = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return array


def _without_prefix(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for prefix in PREFIXES:
        if arrays and all(name.startswith(prefix) for name in arrays):
            arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays
