"""Tensors out of PyTorch's files, without PyTorch: `.pth` (a zip, or the older stream of pickles) and `.safetensors`.

A pickle can name any function to call. Here it may name those that put tensors together, and nothing else.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from butterflyer_jax.models.weights import unpickle

MAGIC = 0x1950A86A20F9469CFC6C
# A checkpoint of a training program keeps its weights under one of these.
NESTS = ("state_dict", "model_state_dict", "model")
# What wrappers put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.")
STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
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


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a file that `torch.save(model.state_dict(), path)` wrote, of any version of PyTorch.

    Raises:
      ValueError and others: the file is damaged, or holds something else than tensors by name.
    """
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        views, elements = (_read_zip if is_zip else _read_stream)(file)
    return _without_prefix({name: view.to_array(elements[view.storage]) for name, view in views.items()})


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


@dataclass(frozen=True)
class _Storage:
    """A run of elements that tensors look into."""

    key: str
    dtype: np.dtype
    num_elements: int


@dataclass(frozen=True)
class _View:
    """A tensor as the pickle describes it; storages of the older format follow only after it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def to_array(self, elements: np.ndarray) -> np.ndarray:
        """Returns a contiguous copy of what it shows of its storage's elements."""
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        # NumPy would read whatever lies there, and repeat it as often as it is told to.
        count = math.prod(self.shape)
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or count > len(elements):
            raise ValueError(f"a tensor is larger than its storage {self.storage.key}")
        if count and last >= len(elements):
            raise ValueError(f"a tensor reaches out of its storage {self.storage.key}")
        strides = [stride * elements.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(elements[self.offset :], self.shape, strides).copy()


class _Bounded:
    """A file that does not make room for more than it holds, whatever length is asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        start = file.tell()
        self._num_bytes = file.seek(0, io.SEEK_END)
        file.seek(start)
        self._file = file
        self.readline, self.tell = file.readline, file.tell

    def read(self, num_bytes: int) -> bytes:
        """Returns so many bytes, fewer at the end."""
        return self._file.read(max(0, min(num_bytes, self._num_bytes)))


class _Storages:
    """The storages that a pickle refers to, by key; what its names stand for."""

    def __init__(self) -> None:
        self.by_key: dict[str, _Storage] = {}

    def load(self, file: IO[bytes] | _Bounded) -> Any:
        """Returns the object of the next pickle in a file."""
        return unpickle.load(file, _NAMES, self._refer)

    def _refer(self, reference: tuple) -> _Storage:
        kind, dtype, key, _, num_elements, *view = reference
        if kind != "storage" or not isinstance(dtype, np.dtype) or any(view):
            raise ValueError("it refers to something else than a storage")
        return self.by_key.setdefault(str(key), _Storage(str(key), dtype, int(num_elements)))


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _View:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor has no storage")
    return _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(tensor: _View, *_: Any) -> _View:
    return tensor


_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}


def _read_zip(file: IO[bytes]) -> tuple[dict[str, _View], dict[_Storage, np.ndarray]]:
    archive = zipfile.ZipFile(file)
    num_bytes = file.seek(0, io.SEEK_END)
    # PyTorch stores without compression; what says otherwise may unpack to any size.
    if any(m.compress_type != zipfile.ZIP_STORED or m.file_size > num_bytes for m in archive.infolist()):
        raise ValueError("its members are compressed")
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("it is no file of PyTorch")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("its numbers are big-endian")
    views = _views(_Storages().load(io.BytesIO(archive.read(pickles[0]))))
    storages = {view.storage for view in views.values()}
    return views, {storage: _elements(archive.read(f"{root}data/{storage.key}"), storage) for storage in storages}


def _read_stream(file: IO[bytes]) -> tuple[dict[str, _View], dict[_Storage, np.ndarray]]:
    """Reads the format before PyTorch 1.6: pickles one after another, then the storages in the order of the last."""
    stream = _Bounded(file)
    storages = _Storages()
    if storages.load(stream) != MAGIC:
        raise ValueError("it is no file of PyTorch")
    version, system = storages.load(stream), storages.load(stream)
    if version != 1001 or not system["little_endian"]:
        raise ValueError(f"it is of version {version}, or of a big-endian machine")
    views = _views(storages.load(stream))
    arrays = {}
    for key in storages.load(stream):
        storage = storages.by_key[str(key)]
        if int.from_bytes(stream.read(8), "little") != storage.num_elements:
            raise ValueError(f"storage {key} has another length than the tensors say")
        arrays[storage] = _elements(stream.read(storage.num_elements * storage.dtype.itemsize), storage)
    return views, arrays


def _elements(data: bytes, storage: _Storage) -> np.ndarray:
    if len(data) != storage.num_elements * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key} is cut off")
    return np.frombuffer(data, storage.dtype)


def _views(tree: Any) -> dict[str, _View]:
    """Returns the tensors by name of a state_dict, or of a checkpoint that holds one."""
    for nest in NESTS:
        if isinstance(tree, Mapping) and isinstance(tree.get(nest), Mapping):
            tree = tree[nest]
    if not isinstance(tree, Mapping) or not all(isinstance(name, str) for name in tree):
        raise ValueError(f"it holds a {type(tree).__name__}, not tensors by name")
    return {name: value for name, value in tree.items() if isinstance(value, _View)}


def _without_prefix(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for prefix in PREFIXES:
        if arrays and all(name.startswith(prefix) for name in arrays):
            arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays
