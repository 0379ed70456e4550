"""Each format's writer, on every kind of network, read with the code that stands in the card."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.export import keras, onnx, reference, safetensors, savedmodel
from butterflyer_jax.export.exporter import FORMATS
from tests.conftest import make_photo
from tests.helpers.export_networks import KINDS, SPECIES, make_network, noise

os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def written(format: str, network: Any, folder: Path) -> dict[str, Any]:
    """Returns what the code in the card defines, for a network written in a format."""
    module = importlib.import_module(f"butterflyer_jax.export.{format}")
    path = folder / module.NAME
    if format == "keras":
        # In this process: tests of the command have it in its own.
        keras.main(*map(str, keras.pack(network, folder)), str(path))
    else:
        module.write(network, path)
    names: dict[str, Any] = {"path": str(path), "np": np}
    exec(module.READ, names)
    return names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("safetensors", "litert_int8")])
def test_other_runtimes_give_the_same_probabilities(format: str, kind: str, tmp_path: Path) -> None:
    network = make_network(**KINDS[kind])
    images = noise(network)
    answer = written(format, network, tmp_path)["answer"]
    ours = reference.answers(network, images)
    assert ours.keys() == {"probabilities", "typicality"} if network.typicality else {"probabilities"}
    # Any batch, and every photo for itself.
    for part in (slice(0, 0), slice(0, 1), slice(0, 5)):
        theirs = answer(images[part])
        assert np.asarray(theirs["probabilities"]).shape == ours["probabilities"][part].shape
        np.testing.assert_allclose(np.asarray(theirs["probabilities"]), ours["probabilities"][part], atol=2e-5)
        if network.typicality:
            np.testing.assert_allclose(np.asarray(theirs["typicality"]), ours["typicality"][part], atol=1e-3)
    assert ours["probabilities"].std() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_safetensors_hold_what_torchvision_names(kind: str, tmp_path: Path) -> None:
    network = make_network(**KINDS[kind])
    safetensors.write(network, tmp_path / "model.safetensors")
    layers = safetensors.read(tmp_path / "model.safetensors")
    assert layers.keys() == network.layers.keys()
    for name, layer in network.layers.items():
        assert layers[name].keys() == layer.keys()
        for key, array in layer.items():
            np.testing.assert_array_equal(layers[name][key], array)


def test_the_names_of_torchvision() -> None:
    plain = safetensors.tensors(make_network(32, variant="vgg16"))
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    layers = [*(f"features.{n}" for n in convolutions), *(f"classifier.{n}" for n in (0, 3, 6))]
    assert list(plain) == [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    normed = safetensors.tensors(make_network(32, variant="vgg11", batch_norm=True))
    assert [n for n in normed if n.startswith("features.1.")] == [
        f"features.1.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    assert not normed["features.0.bias"].any()
    assert "features.25.weight" in normed and len(normed) == 8 * 7 + 6


def test_safetensors_in_torch(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is too large to be installed for this")
    network = make_network(**KINDS["vgg11 normalised, odd side"])
    probabilities = written("safetensors", network, tmp_path)["probabilities"]
    np.testing.assert_allclose(
        probabilities(noise(network)), reference.answers(network, noise(network))["probabilities"], atol=2e-5
    )


def test_a_saved_model_takes_picture_files(tmp_path: Path) -> None:
    network = make_network(64, variant="vgg11", head="gap")
    files = [make_photo(n, width, height) for n, (width, height) in enumerate([(90, 84), (84, 200), (300, 301)])]
    images = [photo.central_crop(photo.load(data, 84, 10**6)[0], 0.8, 64) for data in files]
    names = written("savedmodel", network, tmp_path)
    ours = reference.answers(network, np.stack(images))["probabilities"]
    np.testing.assert_allclose(names["probabilities_of_bytes"](files), ours, atol=0.01)
    answer = names["pixels"](image=np.stack(images))
    assert {name: output.shape for name, output in answer.items()} == dict.fromkeys(answer, (3, len(SPECIES)))
    assert [[name.decode() for name in row] for row in answer["species"].numpy()] == [list(SPECIES)] * 3
    of_none = names["encoded"](image_bytes=np.empty(0, object).astype(str))
    assert {output.shape[0] for output in of_none.values()} == {0}


def test_an_onnx_file_names_its_species(tmp_path: Path) -> None:
    session = written("onnx", make_network(32, variant="vgg11", head="gap"), tmp_path)["session"]
    assert json.loads(session.get_modelmeta().custom_metadata_map["species"]) == list(SPECIES)


def test_what_is_too_large_for_onnx_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="take another format"):
        onnx.write(make_network(32, variant="vgg11"), tmp_path / "model.onnx")


def test_keras_layers_are_named_as_ours_and_can_be_trained_on() -> None:
    network = make_network(32, variant="vgg11", batch_norm=True)
    model = keras.build_model(network)
    assert {layer.name for layer in model.layers if layer.weights} == network.layers.keys()
    assert model.count_params() == sum(array.size for layer in network.layers.values() for array in layer.values())
    assert savedmodel.NAME == "savedmodel"
