"""`tfds build`, as typed: its parameters, its engine, and its errors as one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import build
from butterflyer_jax.data.butterflies.butterflies_dataset_builder import ButterfliesConfig
from butterflyer_jax.data.dataset import INFO_FILE
from tests.conftest import ROOT, folder_members, make_zip
from tests.helpers.fork_server import ForkServer

FILES = {
    "data_card.json",
    "data_card.html",
    "train.csv",
    "val.csv",
    "test.csv",
    "rejects.csv",
    "duplicates.csv",
    "groups.csv",
}
Build = Callable[..., "subprocess.CompletedProcess[str]"]
SECONDS = 300


@pytest.fixture
def tfds_build(fork_server: ForkServer) -> Build:
    def run(data_dir: Path, *arguments: object, alone: bool = False) -> subprocess.CompletedProcess[str]:
        line = ["build", "butterflyer_jax/data/butterflies", "--data_dir", str(data_dir), *map(str, arguments)]
        if not alone:
            return fork_server.run("tensorflow_datasets.scripts.cli.main", line, os.environ, ROOT, SECONDS)
        tfds = str(Path(sys.executable).parent / "tfds")
        return subprocess.run([tfds, *line], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)

    return run


def assert_refused(result: subprocess.CompletedProcess[str], reason: str) -> None:
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert reason in last


def test_the_only_zip_of_a_folder(tmp_path: Path, raw_zip: Path, tfds_build: Build) -> None:
    data, manual_dir = tmp_path / "data", tmp_path / "manual"
    result = tfds_build(data, "--manual_dir", raw_zip.parent, alone=True)
    assert result.returncode == 0, result.stderr
    folder = data / "butterflies" / "default" / "1.0.0"
    assert {INFO_FILE, *FILES} <= {path.name for path in folder.iterdir()}
    assert tfds_build(data, "--manual_dir", raw_zip.parent).returncode == 0, "built already, and of the same zip"
    make_zip(manual_dir / "other.zip", folder_members(5))
    assert_refused(tfds_build(data, "--manual_dir", manual_dir), "was built from another zip")
    (manual_dir / "other.zip").rename(manual_dir / "raw.tar")
    assert_refused(
        tfds_build(tmp_path / "new", "--manual_dir", manual_dir),
        "must hold exactly one .zip, or folders of photos; found: none",
    )


def test_every_parameter_by_config_and_beam_by_flag(tmp_path: Path, raw_zip: Path, tfds_build: Build) -> None:
    """On DirectRunner with processes, as a cluster would do it: no worker shares memory with another."""
    parameters = {
        "archive": str(raw_zip),
        "name": "small",
        "image_size": 32,
        "jpeg_quality": 80,
        "val_fraction": 0.2,
        "test_fraction": 0.3,
        "salt": "pepper",
        "num_shards": 2,
        "max_reject_fraction": 0.01,
    }
    options = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"
    result = tfds_build(tmp_path, "--config", json.dumps(parameters), f"--beam_pipeline_options={options}")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "butterflies" / "small" / "1.0.0"
    card = json.loads((folder / "data_card.json").read_text())
    assert card["build"].items() >= {k: v for k, v in parameters.items() if k not in ("archive", "name")}.items()
    assert card["splits"] == {"train": 30, "val": 12, "test": 18}
    assert len(list(folder.glob("butterflies-test.tfrecord-*-of-00002"))) == 2

    here = build.build(raw_zip, tmp_path / "here", BuildConfig(**card["build"]))
    shards = {path.name: path.read_bytes() for path in Path(here).glob("*.tfrecord-*")}
    assert shards == {path.name: path.read_bytes() for path in folder.glob("*.tfrecord-*")}

    # A version that had no such field yet built it without.
    del card["build"]["negatives"]
    (folder / "data_card.json").write_text(json.dumps(card))
    other = json.dumps(parameters | {"image_size": 64})
    assert_refused(tfds_build(tmp_path, "--config", other), "was built with image_size=32: take another name")


def test_parameters_that_are_none(tmp_path: Path, raw_zip: Path, tfds_build: Build) -> None:
    for values, reason in {
        '{"imagesize": 64}': "unknown field imagesize",
        '{"archive": 5}': "field archive of the builder config must be a text",
        '{"name": "../x"}': "it names a folder",
        '{"image_size": "64"}': "must be of type int",
        r'{"salt": "\ud800"}': "cannot be printed",
    }.items():
        with pytest.raises(UserError, match=reason):
            ButterfliesConfig(**json.loads(values))
    (tmp_path / "file").write_text("hello")
    assert_refused(tfds_build(tmp_path / "file", "--manual_dir", raw_zip.parent), "Not a directory")
    # The zip itself, where its folder is asked for, can only mean the zip.
    assert tfds_build(tmp_path / "data", "--manual_dir", raw_zip).returncode == 0
