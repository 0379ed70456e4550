"""`python -m butterflyer_jax.train --config.model.pretrained=…`: from a file, from a run, killed and resumed."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from butterflyer_jax.models.weights.translate import CAFFE_MEAN, CAFFE_STD
from tests.commands.test_train import KILL_WITHIN_AN_EPOCH, final_arrays
from tests.conftest import QUICKLY_COMPILED, TINY_CONFIG, Command, assert_one_line_error
from tests.helpers.hub_server import Hub, serving
from tests.helpers.imported_weights import TORCH_FILES, write_keras_file, write_timm_file

# The network of the small files, at its own image size.
NETWORK = (
    "--config.model.width_multiplier=0.015625",
    "--config.model.head=fc",
    "--config.model.batch_norm=False",
    "--config.data.image_size=64",
)


def test_a_run_from_keras_weights_resumes_without_them(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    """Killed within an epoch, with its source gone, it ends as the run that nobody disturbed, its mean with it."""
    command = functools.partial(command, env=QUICKLY_COMPILED)
    source = write_keras_file(tmp_path / "vgg.h5")
    arguments = ["--input", dataset, *NETWORK, f"--config.model.pretrained={source}"]
    whole = command("train", "--config", tiny_config, *arguments, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert "left over       /logits/kernel" in whole.stderr
    assert "it is 64x1000 there and 64x3 here" in whole.stderr
    assert "mean 0.485/0.458/0.408, std 0.00392/0.00392/0.00392" in whole.stderr
    model = json.loads((tmp_path / "whole" / "config.json").read_text())["config"]["model"]
    assert (model["mean"], model["std"]) == ([*CAFFE_MEAN], [*CAFFE_STD])

    killing = tmp_path / "killing.py"
    killing.write_text(TINY_CONFIG + KILL_WITHIN_AN_EPOCH)
    assert command("train", "--config", killing, *arguments, "--output", tmp_path / "run").returncode != 0
    source.unlink()
    again = command("train", "--config", tiny_config, *arguments, "--output", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert "resuming from step 4 of 8" in again.stderr
    assert "pretrained" not in again.stderr
    for ours, theirs in zip(final_arrays(tmp_path / "run"), final_arrays(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    configs = [(tmp_path / name / "config.json").read_text() for name in ("run", "whole")]
    assert configs[0] == configs[1]
    result = command("evaluate", "--run", tmp_path / "run")
    assert result.returncode == 0, result.stderr


def test_a_run_from_weights_by_name(dataset: Path, tiny_config: Path, tmp_path: Path, command: Command) -> None:
    """By the environment alone: an endpoint, then no network at all."""
    weights = write_timm_file(TORCH_FILES / "plain.safetensors", tmp_path / "timm.safetensors").read_bytes()
    arguments = ["--config", tiny_config, "--input", dataset, "--config.model.pretrained=imagenet", *NETWORK]
    environment = {"HF_HOME": str(tmp_path / "hf"), **QUICKLY_COMPILED}
    with serving(Hub({"timm/vgg11.tv_in1k/model.safetensors": weights})) as hub:
        online = environment | {"HF_ENDPOINT": hub.url}
        result = command("train", *arguments, "--output", tmp_path / "run", env=online, alone=True)
    assert result.returncode == 0, result.stderr
    assert f"fetching hf://timm/vgg11.tv_in1k/model.safetensors from {hub.url}" in result.stderr
    assert "reshaped        /fc1/kernel" in result.stderr
    offline = environment | {"HF_HUB_OFFLINE": "1"}
    once = ("--output", tmp_path / "again", "--config.num_epochs=1")
    result = command("train", *arguments, *once, env=offline)
    assert result.returncode == 0, result.stderr
    other = ("--output", tmp_path / "other", "--config.model.variant=vgg13")
    result = command("train", *arguments, *other, env=offline)
    assert_one_line_error(result, "hf://timm/vgg13.tv_in1k/model.safetensors is not in the cache", "HF_HUB_OFFLINE")


def test_a_run_from_a_run(
    trained_run: Path, dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    """With a learning rate of zero the new run's evaluation is that of the old one's best checkpoint."""
    # Statistics of batch normalisation would move all the same.
    still = ("--config.optim.learning_rate=0", "--config.model.batch_norm_momentum=1", "--config.num_epochs=1")
    pretrained = f"--config.model.pretrained={trained_run}"
    arguments = ("--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", *still, pretrained)
    result = command("train", *arguments, env=QUICKLY_COMPILED)
    assert result.returncode == 0, result.stderr
    assert f"pretrained weights: {trained_run}, vgg11" in result.stderr
    assert "42 taken; mean" in result.stderr
    metrics = []
    for run in (trained_run, tmp_path / "run"):
        assert command("evaluate", "--run", run, "--split", "val").returncode == 0
        metrics.append(json.loads((run / "eval" / "val" / "metrics.json").read_text()))
    assert metrics[1]["loss"] == pytest.approx(metrics[0]["loss"], rel=1e-5)
    # Another source on the same folder is another run.
    result = command("train", *arguments, f"--config.model.pretrained={tmp_path / 'gone.pth'}")
    assert_one_line_error(result, "model.pretrained was", "gone.pth", "another --output")


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        (
            "plain.safetensors",
            (*NETWORK[:3], "--config.data.image_size=32"),
            ("it is for data.image_size=64", "allow='^/logits/"),
        ),
        ("cut.safetensors", NETWORK, ("cut.safetensors is damaged",)),
    ],
)
def test_what_does_not_fit_is_one_line(
    name: str,
    options: tuple[str, ...],
    parts: tuple[str, ...],
    dataset: Path,
    tiny_config: Path,
    tmp_path: Path,
    command: Command,
) -> None:
    shutil.copytree(TORCH_FILES, tmp_path / "files")
    (tmp_path / "files" / "cut.safetensors").write_bytes((TORCH_FILES / "plain.safetensors").read_bytes()[:20_000])
    pretrained = f"--config.model.pretrained={tmp_path / 'files' / name}"
    arguments = ("--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", pretrained)
    assert_one_line_error(command("train", *arguments, *options), *parts)
    assert not (tmp_path / "run").exists(), "the command with another word may take the same folder"
