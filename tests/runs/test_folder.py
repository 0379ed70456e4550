"""What a run folder says of itself, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import Config, UserError, runs


def test_a_config_of_a_newer_version_names_file_field_and_version(tmp_path: Path) -> None:
    config = Config().to_dict()
    config["optim"]["sharpness"] = 1
    about = {
        "config": config,
        "species": [],
        "dataset": "fake",
        "fingerprint": "",
        "versions": {"butterflyer_jax": "9.0"},
    }
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match=rf"^{tmp_path}/config.json does not fit .*optim\.sharpness.* made with 9\.0"):
        runs.read(tmp_path)
    about |= {"config": Config().to_dict()}
    for damaged in (
        b"\x00" * 100,
        b"null",
        b"[" * 100_000,
        json.dumps(about | {"species": None}).encode(),
        json.dumps(about | {"versions": "9.0"}).encode(),
    ):
        (tmp_path / "config.json").write_bytes(damaged)
        with pytest.raises(UserError, match=r"config\.json is damaged"):
            runs.read(tmp_path)


def test_where_no_run_is_the_message_says_what_is_there_instead(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("x")
    for name in ("leeds/first", "leeds/second"):
        runs.open_or_create(tmp_path / name, Config(), ("A", "B"), "fake", "fake")
        (tmp_path / name / "checkpoints").mkdir()
    first, second = tmp_path / "leeds" / "first", tmp_path / "leeds" / "second"
    for folder, message in {
        "nowhere": f"no run in {tmp_path}/nowhere: there is no such folder",
        "model.onnx": f"no run in {tmp_path}/model.onnx: it is a file; an export goes to --model, of butterflyer",
        "leeds": f"no run in {tmp_path}/leeds: it has no config.json; did you mean {first} or {second}?",
        "leeds/first/checkpoints": f"checkpoints: it has no config.json; the run that it is part of is {first}",
        "leeds/first/checkpoints/8/nowhere": "there is no such folder",
    }.items():
        with pytest.raises(UserError) as error:
            runs.read(tmp_path / folder)
        assert message in str(error.value)


def opened(folder: Path, config: Config) -> Config:
    runs.open_or_create(folder, config, ("A", "B"), "fake", "fake")
    return runs.read(folder).config


def test_another_taxonomy_is_kept_for_later_evaluations(tmp_path: Path) -> None:
    assert opened(tmp_path / "run", Config()).ranks.taxonomy == ""
    config = Config()
    config.ranks.taxonomy = "taxa.csv"
    assert opened(tmp_path / "run", config).ranks.taxonomy == "taxa.csv"
    assert opened(tmp_path / "run", config) == config


def test_another_refusal_is_kept_and_fitted_again(tmp_path: Path) -> None:
    folder, config = tmp_path / "run", Config()
    opened(folder, Config())
    fitted = [folder / name for name in ("calibration.json", "typicality.npz", "ranks.json")]
    for file in fitted:
        file.touch()
    config.ranks.precision = 0.9
    config.data.num_threads = 3
    opened(folder, config)
    assert all(file.exists() for file in fitted)
    config.refusal.false_refusals = 0.01
    assert opened(folder, config).refusal.false_refusals == 0.01
    assert [file.name for file in fitted if file.exists()] == ["calibration.json"]
    config.refusal.typicality = False
    assert not opened(folder, config).refusal.typicality
