"""Weights by name: timm:, torchvision:, hf:// and what ships with the package, from a Hub of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import ModelConfig
from butterflyer_jax.training import pretrained
from tests.helpers.hub_server import Hub, serving
from tests.helpers.imported_weights import (
    TORCH_FILES,
    config_of,
    filled,
    write_timm_file,
)
from tests.storage.test_hub import point_client_at


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    weights = write_timm_file(TORCH_FILES / "plain.safetensors", tmp_path / "timm.safetensors").read_bytes()
    about = {"architecture": "vgg11", "pretrained_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.3]}}
    files = {"timm/vgg11.tv_in1k/model.safetensors": weights, "me/net/best.safetensors": weights}
    with serving(Hub(files | {"timm/vgg11.tv_in1k/config.json": json.dumps(about).encode()})) as running:
        point_client_at(running.url, tmp_path / "hub", monkeypatch)
        yield running


@pytest.mark.parametrize(
    "name", ["imagenet", "timm:vgg11", "timm:vgg11.tv_in1k", "torchvision:vgg11", "hf://timm/vgg11.tv_in1k"]
)
def test_weights_have_names(name: str, hub_server: Hub, tmp_path: Path) -> None:
    config, weights = pretrained.settle(config_of(name), tmp_path / "run")
    assert weights is not None
    assert (config.model.mean, config.model.std) == ((0.4, 0.5, 0.6), (0.2, 0.2, 0.3))
    assert weights.origin == "hf://timm/vgg11.tv_in1k/model.safetensors"
    state = filled(config, weights)
    kernel = {x.target: x.value for x in weights.tensors}["/fc1/kernel"]
    np.testing.assert_array_equal(state.variables.params["fc1"]["kernel"], kernel)
    kept, _ = pretrained.settle(config_of(name, pretrained_input="imagenet"), tmp_path / "run")
    assert kept.model.mean == ModelConfig().mean


def test_a_repository_may_hold_a_file_of_any_name(hub_server: Hub, tmp_path: Path) -> None:
    config, weights = pretrained.settle(config_of("hf://me/net@v1/best.safetensors"), tmp_path / "run")
    assert weights is not None
    assert config.model.mean == ModelConfig().mean, "it has no config.json: those of torchvision"
    with pytest.raises(UserError, match="no such file on the Hub: hf://me/net/model"):
        pretrained.settle(config_of("hf://me/net"), tmp_path / "run")
    hub_server.files["me/net/config.json"] = b'{"pretrained_cfg": {"mean": [1]}}'
    with pytest.raises(UserError, match=r"config\.json of hf://me/net/best\.safetensors is damaged: it is not of"):
        pretrained.settle(config_of("hf://me/net/best.safetensors"), tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet50", "timm:resnet50 names no VGG of timm: write timm: and vgg11, vgg11_bn, vgg13"),
        ("torchvision:vgg16_bn.tv_in1k", "names no VGG of torchvision: write torchvision: and vgg11, vgg11_bn"),
        ("timm:vgg16_bn", "holds vgg16 with batch norm, the config says vgg11 without"),
        ("hf://me", "is not an address of the Hub"),
        (
            "drawn",
            "no drawn weights for vgg11 without batch norm at width_multiplier 0.015625: set "
            "--config.model.variant=vgg11 --config.model.batch_norm=True --config.model.width_multiplier=0.25 or "
            "[^,]*, train your own with --config pretrain_drawn, or start from scratch with --config"
            ".model.pretrained=$",
        ),
        ("imagenett", "no such file of weights: .*imagenett; by name there are imagenet, timm:NAME, torchvision:NAME"),
    ],
)
def test_wrong_names_are_one_line_before_anything_is_fetched(
    name: str, message: str, hub_server: Hub, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        pretrained.settle(config_of(name), tmp_path / "run")
    assert not hub_server.downloads
