"""PyTorch's files, read without PyTorch: the recorded ones give PyTorch's logits, what is no such file is refused."""

from __future__ import annotations

import collections
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from butterflyer_jax.config import IMAGENET_MEAN, IMAGENET_STD
from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights import read
from butterflyer_jax.models.weights.torch_file import read_pth, read_safetensors
from butterflyer_jax.models.weights.translate import from_torch
from tests.helpers.imported_weights import TORCH_FILES, TORCH_WIDTH, assert_accounted_for, logits, model_config

RECORDED = np.load(TORCH_FILES / "recorded.npz")
NAMES = sorted(path.name for path in TORCH_FILES.iterdir() if path.suffix != ".npz")


def test_every_format_is_recorded() -> None:
    heads = {name: (TORCH_FILES / name).read_bytes()[:2] for name in NAMES}
    assert {name for name, head in heads.items() if head == b"PK"} == {"plain.pth", "normed.pth", "trained.pth"}
    assert {name for name, head in heads.items() if head == b"\x80\x02"} == {"plain_old.pth", "trained_old.pth"}
    assert {"plain.safetensors", "normed.safetensors"} < set(NAMES)
    for name in ("plain", "normed", "trained"):
        first, second = RECORDED[f"{name}_logits"]
        assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_torch(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = TORCH_FILES / name
    weights = read(path, name)
    assert (weights.variant, weights.mean, weights.std) == ("vgg11", IMAGENET_MEAN, IMAGENET_STD)
    kind = path.stem.removesuffix("_old")
    images, expected = RECORDED[f"{kind}_images"], RECORDED[f"{kind}_logits"]
    ours = logits(weights, images, 5, model_config(weights, TORCH_WIDTH))
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    arrays = read_safetensors(path) if path.suffix == ".safetensors" else read_pth(path)
    assert_accounted_for(capsys.readouterr().err, list(arrays))


@pytest.mark.parametrize(("variant", "depths"), [("vgg16", (2, 2, 3, 3, 3)), ("vgg19", (2, 2, 4, 4, 4))])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_layers_have_torchvisions_numbers(variant: str, depths: tuple[int, ...], batch_norm: bool) -> None:
    arrays, expected, number = {}, {}, 0
    for block, depth in enumerate(depths, 1):
        for layer in range(1, depth + 1):
            value = 100 * block + layer
            arrays[f"features.{number}.weight"] = np.full((1, 3 if number == 0 else 1, 3, 3), value)
            expected[f"/block{block}_conv{layer}/kernel"] = value
            if batch_norm:
                for name in ("weight", "bias", "running_mean", "running_var"):
                    arrays[f"features.{number + 1}.{name}"] = np.full(1, -value)
                expected[f"/block{block}_bn{layer}/scale"] = -value
            number += 3 if batch_norm else 2
        number += 1
    # As a file may have them: sorted as text, 10 before 2.
    weights = from_torch(dict(sorted(arrays.items())), "x")
    assert (weights.variant, weights.batch_norm) == (variant, batch_norm)
    values = {tensor.target: tensor.value for tensor in weights.tensors}
    assert {path: np.unique(values[path]).item() for path in expected} == expected


class Malicious:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def as_zip(pickled: bytes, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {"data.pkl": pickled, **members}.items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def as_stream(pickled: bytes) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    return b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, system)) + pickled


@pytest.mark.parametrize("wrap", [as_zip, as_stream])
def test_a_pickle_that_calls_something_else_is_refused(tmp_path: Path, wrap: collections.abc.Callable) -> None:
    trace = tmp_path / "trace"
    for function, *arguments in (
        (os.mkdir, trace),
        (eval, f"__import__('os').mkdir({str(trace)!r})"),
        (getattr, "", "upper"),
    ):
        path = tmp_path / "evil.pth"
        path.write_bytes(wrap(pickle.dumps({"features.0.weight": Malicious(function, *arguments)}, 2)))
        with pytest.raises(UserError, match=r"evil\.pth is damaged.* not weights alone"):
            read(path, "evil.pth")
    assert not trace.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_one_line(name: str, tmp_path: Path) -> None:
    data = (TORCH_FILES / name).read_bytes()
    path = tmp_path / name
    for share in (0, 1, 4, len(data) // 3, len(data) - 100):
        path.write_bytes(data[:share])
        with pytest.raises(UserError, match="is damaged"):
            read(path, name)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes_are_weights_or_one_line(name: str, tmp_path: Path) -> None:
    """Where the structure lies, at both ends; Python's own unpickler crashed on some of these, or took all memory."""
    data, rng = np.frombuffer((TORCH_FILES / name).read_bytes(), np.uint8), np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = data.copy()
        places = rng.integers(0, 6000, rng.choice([1, 3, 20])) * rng.choice([1, -1])
        damaged[places] = rng.integers(0, 256, len(places))
        path = tmp_path / name
        path.write_bytes(damaged.tobytes())
        try:
            read(path, name)
        except UserError:
            refused += 1
    assert refused > 50


def tensor_pickle(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Pickles {"a": tensor} as PyTorch does, with a storage of 4 floats."""

    def inner(item: object) -> bytes:
        return pickle.dumps(item, 2)[2:-1]

    storage = b"(" + inner("storage") + b"ctorch\nFloatStorage\n" + inner("0") + inner("cpu") + inner(4) + b"tQ"
    arguments = storage + inner(offset) + inner(shape) + inner(strides) + inner(False) + b"Nt"
    return b"\x80\x02}" + inner("a") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"Rs."


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "num_bytes", "message"),
    [
        (1, (4,), (1,), 16, "reaches out of its storage 0"),
        (0, (2, 2), (3, 1), 16, "reaches out of its storage 0"),
        (0, (3,), (-1,), 16, "larger than its storage 0"),
        (0, (10**9, 10**9), (0, 0), 16, "larger than its storage 0"),
        (0, (4,), (1,), 12, "storage 0 is cut off"),
    ],
)
def test_a_tensor_never_reaches_out_of_its_storage(
    offset: int, shape: tuple, strides: tuple, num_bytes: int, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pth"
    storage = np.arange(4, dtype="<f4").tobytes()
    path.write_bytes(as_zip(tensor_pickle(1, (3,), (1,)), **{"data/0": storage}))
    np.testing.assert_array_equal(read_pth(path)["a"], [1, 2, 3])
    path.write_bytes(as_zip(tensor_pickle(offset, shape, strides), **{"data/0": storage[:num_bytes]}))
    with pytest.raises(UserError, match=message):
        read(path, "x.pth")


def test_a_zip_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(as_zip(tensor_pickle(0, (4,), (1,)), **{"data/0": bytes(16)}))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/1", bytes(1000))
    with pytest.raises(UserError, match="compressed"):
        read(path, "x.pth")


def test_what_is_no_vgg_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="x holds no VGG: it has 0 convolutions"):
        from_torch({"layer1.0.conv1.weight": np.zeros((4, 3, 3, 3))}, "x")
    path = tmp_path / "x.pth"
    path.write_bytes(as_zip(pickle.dumps([1, 2], 2)))
    with pytest.raises(UserError, match="a list, not tensors by name"):
        read(path, "x.pth")
    path = tmp_path / "x.safetensors"
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"0")
    with pytest.raises(UserError, match="of dtype F8_E4M3"):
        read(path, "x.safetensors")
    path = tmp_path / "x.onnx"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"must end with \.pth"):
        read(path, "x.onnx")
