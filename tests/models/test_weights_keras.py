"""Keras's files, read without Keras: models that Keras made give Keras's outputs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights import Tensor, Weights, read
from butterflyer_jax.models.weights.keras_file import read_keras
from butterflyer_jax.models.weights.translate import CAFFE_MEAN, CAFFE_STD, from_keras
from tests.conftest import ROOT
from tests.helpers.imported_weights import assert_accounted_for, logits, model_config

WIDTH = 1 / 32
# File, variant, batch norm, head and what it was trained on.
WHOLE = [
    ("whole.h5", "vgg16", False, "fc", "auto"),
    ("whole.keras", "vgg16", False, "fc", "auto"),
    ("whole.weights.h5", "vgg16", False, "fc", "auto"),
    ("whole_keras1.h5", "vgg16", False, "fc", "auto"),
    ("tuned.h5", "vgg16", False, "gap", "auto"),
    ("tuned.keras", "vgg16", False, "gap", "auto"),
    ("own.h5", "vgg11", True, "fc", "config"),
    ("own.keras", "vgg11", True, "fc", "config"),
    ("default.weights.h5", "vgg11", True, "fc", "config"),
]


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.models.make_keras_files", str(folder)],
        cwd=ROOT,
        env=environment | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize(("name", "variant", "batch_norm", "head", "colours"), WHOLE)
def test_outputs_are_those_of_keras(
    name: str,
    variant: str,
    batch_norm: bool,
    head: str,
    colours: str,
    keras_files: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorded = np.load(keras_files / "recorded.npz")
    weights = read(keras_files / name, name, colours)
    assert (weights.variant, weights.batch_norm) == (variant, batch_norm)
    assert weights.mean == (None if colours == "config" else CAFFE_MEAN)
    assert weights.std == (None if colours == "config" else CAFFE_STD)
    expected = recorded[name.partition(".")[0].partition("_")[0]]
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    ours = logits(weights, recorded["images"], expected.shape[1], model_config(weights, WIDTH, head=head))
    np.testing.assert_allclose(ours, expected, atol=1e-4, rtol=1e-4)
    arrays, _ = read_keras(keras_files / name)
    assert_accounted_for(capsys.readouterr().err, list(arrays))


@pytest.mark.parametrize("name", ["features.h5", "features.weights.h5"])
def test_features_without_top_are_those_of_keras(name: str, keras_files: Path) -> None:
    recorded = np.load(keras_files / "recorded.npz")
    weights = read(keras_files / name, name)
    assert weights.variant == "vgg19"
    with pytest.raises(UserError, match=r"/logits/kernel: the source has none.*pretrained_allow='\^/\(logits\)'"):
        logits(weights, recorded["images"], 16, model_config(weights, WIDTH, head="gap"))
    # The mean maps themselves come out as logits.
    eye = (Tensor("a", (16, 16), "/logits/kernel", np.eye(16)), Tensor("b", (16,), "/logits/bias", np.zeros(16)))
    whole = Weights("x", "vgg19", False, weights.mean, weights.std, (*weights.tensors, *eye))
    ours = logits(whole, recorded["images"], 16, model_config(weights, WIDTH, head="gap"))
    np.testing.assert_allclose(ours, recorded["features"], atol=1e-4, rtol=1e-4)


def test_both_layouts_hold_the_same(keras_files: Path) -> None:
    by_layout = [read(keras_files / name, name).tensors for name, *_ in WHOLE[:4]]
    for tensors in by_layout[1:]:
        assert [x.target for x in tensors] == [x.target for x in by_layout[0]]
        for one, other in zip(tensors, by_layout[0], strict=True):
            np.testing.assert_array_equal(one.value, other.value)


@pytest.mark.parametrize("name", ["whole.h5", "whole.keras", "whole.weights.h5"])
def test_a_truncated_file_is_one_line(name: str, keras_files: Path, tmp_path: Path) -> None:
    data = (keras_files / name).read_bytes()
    path = tmp_path / name
    for share in (0, 4, len(data) // 3, len(data) - 100):
        path.write_bytes(data[:share])
        with pytest.raises(UserError, match="is damaged"):
            read(path, name)


def test_files_of_something_else_are_refused(keras_files: Path, tmp_path: Path) -> None:
    shutil.copy(keras_files / "whole.h5", tmp_path / "whole.keras")
    with pytest.raises(UserError, match=r"damaged, or not a \.keras file"):
        read(tmp_path / "whole.keras", "x")
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["table"] = np.zeros(3)
    with pytest.raises(UserError, match="no VGG: it has 0 convolutions, a VGG has 8, 10, 13, 16"):
        read(tmp_path / "table.h5", "x")


def test_grey_networks_and_half_normalised_ones_are_refused() -> None:
    grey = {f"c{n}/kernel": np.zeros((3, 3, 1, 1)) for n in range(8)}
    with pytest.raises(UserError, match="no network for colour images"):
        from_keras(grey, "x")
    norm = {f"n/{n}": np.zeros(1) for n in range(4)}
    with pytest.raises(UserError, match="1 of its 8 convolutions are normalised"):
        from_keras(grey | norm, "x", "config")
