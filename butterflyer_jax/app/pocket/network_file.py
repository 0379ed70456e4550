"""Network of the static site: int8 kernels where these are near enough, computed in float32 by the browser."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from butterflyer_jax.export.network import Network

# Smaller arrays stay in float32: they take few bytes, and each value matters.
MIN_INT8 = 4096
LEVELS = 127
# Candidate ranges of the int8 levels, as fractions of a column's largest value; larger values are clipped.
SHARES = np.linspace(0.6, 1, 41)


@dataclasses.dataclass(frozen=True)
class NetworkFile:
    """The files of a network.

    Attributes:
      about: content of network.json: preprocessing, layers, and the position of each array.
      data: content of network.bin.gz, the concatenated arrays.
      network: network with the dequantised values that the browser uses.
    """

    about: dict[str, Any]
    data: bytes
    network: Network


def make(network: Network, min_int8: int = MIN_INT8) -> NetworkFile:
    """Returns the files of a network.

    Batch normalisation is folded into the convolutions. Each column of a large array (the weights of one output) has
    its own scale.

    Args:
      network: network of a run.
      min_int8: arrays of fewer values stay in float32.
    """
    blocks = [[[name, f"{name}/kernel", f"{name}/bias"] for name in block] for block in network.blocks]
    arrays: dict[str, np.ndarray] = {}
    for block in network.blocks:
        for name in block:
            arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = network.convolution(name)
    for name in network.dense:
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = (network.layers[name][key] for key in ("kernel", "bias"))
    typicality = network.typicality
    facts: dict[str, Any] = dataclasses.asdict(typicality) if typicality else {}
    for name, value in facts.items():
        if isinstance(value, np.ndarray):
            arrays[f"typicality/{name}"] = value
    chunks, places, kept, start = [], {}, {}, 0
    in_float32 = {name for name, array in arrays.items() if array.ndim < 2 or array.size < min_int8}
    for name, array in sorted(arrays.items(), key=lambda item: item[0] in in_float32, reverse=True):
        stored, scales = (array.astype("<f4"), None) if name in in_float32 else _to_int8(array)
        kept[name] = stored if scales is None else stored * scales
        places[name] = {"shape": list(array.shape), "dtype": str(stored.dtype), "start": start}
        # The scales follow the values: after the first int8 array, positions are no longer multiples of four.
        for part in (stored,) if scales is None else (stored, scales.astype("<f4")):
            chunks.append(part.tobytes())
            start += len(chunks[-1])
    scale, offset = network.scale_and_offset()
    about = {
        "image_size": network.image_size,
        "short_side": network.short_side,
        "crop_fraction": network.data.eval_crop_fraction,
        "scale": scale.tolist(),
        "offset": offset.tolist(),
        "temperature": network.temperature,
        "global_average_pooling": network.model.head == "gap",
        "blocks": blocks,
        "dense": network.dense,
        "typicality": {name: value for name, value in facts.items() if not isinstance(value, np.ndarray)} or None,
        "arrays": places,
    }
    return NetworkFile(about, gzip.compress(b"".join(chunks), mtime=0), _with_arrays(network, kept))


def make_closest(network: Network) -> Iterator[NetworkFile]:
    """Yields the files of a network, each closer to it and larger than the one before.

    The first has all large kernels in int8. Then the smallest of them, which stand in the first layers and whose errors
    all others pass on, stay in float32 one size after another, until all do.
    """
    made = make(network)
    yield made
    places = made.about["arrays"].values()
    for size in sorted({math.prod(place["shape"]) for place in places if place["dtype"] == "int8"}):
        yield make(network, size + 1)


def _to_int8(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns int8 values and the float32 scale of each column with the smallest squared error."""
    columns = array.reshape(-1, array.shape[-1])
    widest = np.abs(columns).max(axis=0)
    best_error = np.full(columns.shape[1], np.inf)
    scales = np.ones(columns.shape[1], np.float32)
    for share in SHARES:
        tried = np.where(widest > 0, widest * share / LEVELS, 1).astype(np.float32)
        error = ((_rounded(columns, tried) * tried - columns) ** 2).sum(axis=0)
        scales = np.where(error < best_error, tried, scales)
        best_error = np.minimum(error, best_error)
    return _rounded(array, scales).astype(np.int8), scales


def _rounded(array: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return np.rint(array / scales).clip(-LEVELS, LEVELS)


def _with_arrays(network: Network, arrays: Mapping[str, np.ndarray]) -> Network:
    """Returns a network with these arrays and without batch normalisation."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    constants: dict[str, Any] = {}
    for path, array in arrays.items():
        layer, _, name = path.partition("/")
        if layer == "typicality":
            constants[name] = array.astype(np.float32)
        else:
            layers.setdefault(layer, {})[name] = array.astype(np.float32)
    typicality = network.typicality
    return dataclasses.replace(
        network,
        model=dataclasses.replace(network.model, batch_norm=False),
        layers=layers,
        typicality=dataclasses.replace(typicality, **constants) if typicality else None,
    )


def to_json(content: Any) -> bytes:
    """Returns compact JSON in UTF-8."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
