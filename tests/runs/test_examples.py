from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from etils import epath

from butterflyer_jax.config import Config, ExamplesConfig
from butterflyer_jax.errors import UserError
from butterflyer_jax.runs import Run, examples
from butterflyer_jax.runs.examples import Examples

KEPT = Examples({"A/b": (b"one", b"two"), "Ö": ()}, {"A/b": ("Ö",), "Ö": ()}, photos_per_species=2, step=7)


def run_in(folder: Path, count: int = 3) -> Run:
    config = Config(examples=ExamplesConfig(photos_per_species=count))
    return Run(epath.Path(folder), config, ("A/b", "Ö"), "fake", "")


def test_examples_are_kept_in_a_zip_that_is_the_same_each_time(tmp_path: Path) -> None:
    assert examples.read(run_in(tmp_path)) is None
    examples.write(run_in(tmp_path), KEPT)
    assert examples.read(run_in(tmp_path)) == KEPT
    assert (tmp_path / examples.FILE).read_bytes() == KEPT.to_bytes()
    with zipfile.ZipFile(tmp_path / examples.FILE) as archive:
        assert archive.namelist() == ["0000_0.jpg", "0000_1.jpg", "examples.json"]


def test_a_config_without_examples_shows_none(tmp_path: Path) -> None:
    examples.write(run_in(tmp_path), KEPT)
    assert examples.read(run_in(tmp_path, count=0)) is None


@pytest.mark.parametrize("data", [b"", b"PK", KEPT.to_bytes()[:-30]])
def test_a_damaged_file_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / examples.FILE).write_bytes(data)
    with pytest.raises(UserError, match=r"examples\.zip is damaged: .*; remove it, and `butterflyer evaluate`"):
        examples.read(run_in(tmp_path))
