"""Tensors out of PyTorch's files, without PyTorch: `.pth` (a zip, or the older stream of pickles) and `.safetensors`.

A pickle can name any function to call. Here it may name those that put tensors together, and nothing else.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

_MARK = object()
# Those whose argument is the value.
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
    # Of Python 2.
    *("BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


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
        return load(file, _NAMES, self._refer)

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


def load(file: Any, names: Mapping[tuple[str, str], Any], refer: Callable[[tuple], Any]) -> Any:
    """Returns the object of the pickle that starts where `file` stands, and leaves the file behind it.

    Args:
      file: binary, with read, readline and tell.
      names: what (module, name) in the pickle stands for; a callable may be called by the pickle.
      refer: makes an object of a persistent id.

    Raises:
      ValueError and others: the pickle is damaged, uses another name, or an opcode that no tensors need.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_mark() -> list[Any]:
        for position in range(len(stack) - 1, -1, -1):
            if stack[position] is _MARK:
                items = stack[position + 1 :]
                del stack[position:]
                return items
        raise ValueError("its pickle is damaged")

    def find(module: str, name: str) -> Any:
        if (module, name) not in names:
            raise ValueError(
                f"it holds {module}.{name}, not weights alone; write it with torch.save(model.state_dict())"
            )
        return names[module, name]

    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        name: str = opcode.name
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "TUPLE":
            stack.append(tuple(pop_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("SETITEM", "SETITEMS"):
            items = pop_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _of_type(stack[-1], dict).update(zip(items[::2], items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            items = pop_mark() if name == "APPENDS" else [stack.pop()]
            _of_type(stack[-1], list).extend(items)
        elif name == "GLOBAL":
            stack.append(find(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(find(module, attribute))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(function(*_of_type(arguments, tuple)))
        elif name == "BUILD":
            # Attributes beside the tensors: versions of a state_dict's layers.
            stack.pop()
        elif name == "BINPERSID":
            stack.append(refer(_of_type(stack.pop(), tuple)))
        elif name == "STOP":
            [tree] = stack
            return tree
        else:
            raise ValueError(f"its pickle uses {name}, which tensors do not need")
    raise ValueError("its pickle is cut off")


def _of_type(item: Any, kind: type) -> Any:
    if not isinstance(item, kind):
        raise ValueError("its pickle is damaged")
    return item
