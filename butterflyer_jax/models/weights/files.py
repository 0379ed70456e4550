"""A file of weights, whatever wrote it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights import translate
from butterflyer_jax.models.weights.keras_file import read_keras
from butterflyer_jax.models.weights.torch_file import read_facts, read_pth, read_safetensors
from butterflyer_jax.models.weights.translate import Weights
from butterflyer_jax.storage.errors import words_of

TORCH_SUFFIXES = (".safetensors", ".pth", ".pt")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
SUFFIXES = (*TORCH_SUFFIXES, *KERAS_SUFFIXES)


def read(path: Path, origin: str, colours: str = "auto") -> Weights:
    """Returns the weights in a file, in our terms.

    Args:
      path: a local file.
      origin: where it came from, for messages.
      colours: normalisation of its input: "caffe", "imagenet" or "config"; "auto" takes that which an export of this
        package states, else that of the VGG of its framework.

    Raises:
      UserError: the suffix is unknown, the file is damaged, or it holds no VGG.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{origin} is not a file of weights: its name must end with {', '.join(SUFFIXES)}")
    auto = colours == "auto"
    try:
        if suffix in KERAS_SUFFIXES:
            arrays, epsilon = read_keras(path)
            return translate.from_keras(arrays, origin, "caffe" if auto else colours, epsilon)
        arrays = read_safetensors(path) if suffix == ".safetensors" else read_pth(path, origin)
        facts = read_facts(path) if suffix == ".safetensors" else {}
        weights = translate.from_torch(arrays, origin, "imagenet" if auto else colours)
        return _with_facts(weights, facts, auto)
    except (UserError, MemoryError, PermissionError):
        raise
    except Exception as error:
        # Whatever a library says of bytes that are not what the suffix promises.
        raise UserError(f"{origin} is damaged, or not a {suffix} file: {words_of(error)}") from error


def _with_facts(weights: Weights, facts: dict[str, Any], auto: bool) -> Weights:
    """Adds what an export of this package says of itself: its species, and unless the caller knows better its input."""
    if not facts:
        return weights
    weights = dataclasses.replace(weights, species=tuple(facts["species"]))
    return dataclasses.replace(weights, mean=tuple(facts["mean"]), std=tuple(facts["std"])) if auto else weights
