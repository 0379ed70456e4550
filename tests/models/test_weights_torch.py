"""PyTorch's files: the recorded ones give PyTorch's logits, what is no such file is refused.

`.pth` files are read by PyTorch, which the lock leaves out: where it is missing, those tests are skipped.
"""

from __future__ import annotations

import json
import pickle
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from butterflyer_jax.config import IMAGENET_MEAN, IMAGENET_STD
from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights import read
from butterflyer_jax.models.weights.torch_file import read_pth, read_safetensors
from butterflyer_jax.models.weights.translate import from_torch
from tests.helpers.imported_weights import (
    TORCH_FILES,
    TORCH_WIDTH,
    assert_accounted_for,
    logits,
    model_config,
    write_timm_file,
)

RECORDED = np.load(TORCH_FILES / "recorded.npz")
PICKLES = sorted(path.name for path in TORCH_FILES.glob("*.pth"))
SAFETENSORS = sorted(path.name for path in TORCH_FILES.glob("*.safetensors"))


def test_every_format_is_recorded() -> None:
    heads = {name: (TORCH_FILES / name).read_bytes()[:2] for name in PICKLES}
    assert {name for name, head in heads.items() if head == b"PK"} == {"plain.pth", "normed.pth", "trained.pth"}
    assert {name for name, head in heads.items() if head == b"\x80\x02"} == {"plain_old.pth", "trained_old.pth"}
    assert {"plain.safetensors", "normed.safetensors"} == set(SAFETENSORS)
    for name in ("plain", "normed", "trained"):
        first, second = RECORDED[f"{name}_logits"]
        assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("name", [*SAFETENSORS, *PICKLES])
def test_logits_are_those_of_torch(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name in PICKLES:
        pytest.importorskip("torch")
    path = TORCH_FILES / name
    weights = read(path, name)
    assert (weights.variant, weights.mean, weights.std) == ("vgg11", IMAGENET_MEAN, IMAGENET_STD)
    kind = path.stem.removesuffix("_old")
    images, expected = RECORDED[f"{kind}_images"], RECORDED[f"{kind}_logits"]
    ours = logits(weights, images, 5, model_config(weights, TORCH_WIDTH))
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    arrays = read_safetensors(path) if path.suffix == ".safetensors" else read_pth(path, name)
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


@pytest.mark.parametrize("name", SAFETENSORS)
def test_timms_names_give_the_same_logits(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_timm_file(TORCH_FILES / name, tmp_path / "timm.safetensors")
    weights = read(path, "timm")
    kind = name.removesuffix(".safetensors")
    ours = logits(weights, RECORDED[f"{kind}_images"], 5, model_config(weights, TORCH_WIDTH))
    np.testing.assert_allclose(ours, RECORDED[f"{kind}_logits"], atol=1e-4)
    printed = capsys.readouterr().err
    assert_accounted_for(printed, list(read_safetensors(path)))
    assert "from pre_logits.fc1.weight, OIHW to HWIO, flattened" in printed


def test_timms_body_without_its_last_layer_keeps_the_dense_layers() -> None:
    arrays = read_safetensors(TORCH_FILES / "plain.safetensors")
    arrays = {name: x for name, x in arrays.items() if not name.startswith("classifier.6.")}
    targets = {x.target for x in from_torch(arrays, "x").tensors}
    assert {"/fc1/kernel", "/fc2/bias"} < targets
    assert "/logits/kernel" not in targets


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


def test_a_pickle_without_torch_names_the_other_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    without_torch(monkeypatch)
    with pytest.raises(UserError) as error:
        read(TORCH_FILES / "plain.pth", "plain.pth")
    for part in ("plain.pth is a pickle", "model.pretrained=imagenet", "timm:NAME", ".safetensors", "install torch"):
        assert part in str(error.value)


class FakeTensor:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def detach(self) -> FakeTensor:
        return self

    cpu = detach

    def is_floating_point(self) -> bool:
        return self.array.dtype.kind == "f"

    def float(self) -> FakeTensor:
        return FakeTensor(self.array.astype(np.float32))

    def numpy(self) -> np.ndarray:
        return self.array


@pytest.mark.parametrize("nest", [None, "state_dict", "model"])
def test_torch_reads_weights_only_and_wrappers_are_taken_off(nest: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    state = {"module.features.0.weight": FakeTensor(np.ones(2, np.float16)), "module.n": FakeTensor(np.array(3))}

    def load(path: Path, **options: Any) -> Mapping[str, Any]:
        asked.update(options)
        return state if nest is None else {"epoch": 3, nest: state}

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load, Tensor=FakeTensor))
    arrays = read_pth(Path("x.pth"), "x.pth")
    assert asked == {"map_location": "cpu", "weights_only": True}
    assert {name: (x.dtype.name, x.tolist()) for name, x in arrays.items()} == {
        "features.0.weight": ("float32", [1, 1]),
        "n": ("int64", 3),
    }
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=lambda *_, **__: [1], Tensor=FakeTensor))
    with pytest.raises(UserError, match=r"x\.pth is damaged.*a list, not tensors by name"):
        read(Path("x.pth"), "x.pth")


def test_code_in_a_pickle_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise pickle.UnpicklingError("Weights only load failed. Re-running with `weights_only` False will succeed")

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=refuse, Tensor=FakeTensor))
    with pytest.raises(UserError, match=r"\.pth file: it holds more than tensors; .*state_dict\(\)\)$"):
        read(Path("x.pth"), "x.pth")


def test_an_export_of_ours_brings_its_species_and_colours(tmp_path: Path) -> None:
    arrays = read_safetensors(TORCH_FILES / "plain.safetensors")
    about = {"species": list("abcde"), "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2]}
    path = tmp_path / "model.safetensors"
    facts = {name: json.dumps(value) for name, value in about.items()}
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt", **facts})
    weights = read(path, "x")
    assert (weights.species, weights.mean, weights.std) == (tuple("abcde"), (0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    assert read(path, "x", "caffe").species == tuple("abcde")
    assert read(path, "x", "imagenet").mean == IMAGENET_MEAN
    safetensors.numpy.save_file(arrays, path, metadata={"species": "a", "mean": "1", "std": "["})
    with pytest.raises(UserError, match="x is damaged"):
        read(path, "x")


@pytest.mark.parametrize("name", SAFETENSORS)
def test_a_truncated_file_is_one_line(name: str, tmp_path: Path) -> None:
    data = (TORCH_FILES / name).read_bytes()
    path = tmp_path / name
    for share in (0, 1, 4, len(data) // 3, len(data) - 100):
        path.write_bytes(data[:share])
        with pytest.raises(UserError, match="is damaged"):
            read(path, name)


@pytest.mark.parametrize("name", SAFETENSORS)
def test_damaged_bytes_are_weights_or_one_line(name: str, tmp_path: Path) -> None:
    """Where the structure lies, at both ends."""
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


def test_what_is_no_vgg_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="x holds no VGG: it has 0 convolutions"):
        from_torch({"layer1.0.conv1.weight": np.zeros((4, 3, 3, 3))}, "x")
    path = tmp_path / "x.safetensors"
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"0")
    with pytest.raises(UserError, match="of dtype F8_E4M3"):
        read(path, "x.safetensors")
    path = tmp_path / "x.onnx"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"must end with \.safetensors"):
        read(path, "x.onnx")
