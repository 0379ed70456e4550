"""What a user gets wrong: one clear line, an exit code that is not 0, and nothing half-written that reads as whole."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from butterflyer_jax import UserError, runs
from butterflyer_jax.data.dataset import INFO_FILE
from tests.conftest import Command, assert_one_line_error, folder_members, make_photo, make_zip, on_devices


@pytest.fixture
def train(command: Command, tiny_config: Path, tmp_path: Path) -> Command:
    """Runs the training command with an input, into tmp_path/run."""

    def run(source: object, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        line = ["--config", tiny_config, "--input", source, "--output", tmp_path / "run", *arguments]
        return command("train", *line, **options)

    return run


def test_inputs_that_are_none(train: Command, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.jpg").write_bytes(make_photo(1))
    make_zip(tmp_path / "none.zip", {"readme.txt": b"hello"})
    make_zip(tmp_path / "one.zip", {f"Monarch/{n}.jpg": make_photo(n) for n in range(4)})
    make_zip(tmp_path / "bad.zip", folder_members(2) | {f"Monarch/{n}.jpg": b"hello" for n in range(4)})
    for source, part in {
        "nowhere.zip": "no such zip",
        "text.zip": "is not a zip",
        "photo.jpg": "is an image (JPEG), not a zip: give a zip or a folder",
        "none.zip": "no photos",
        "one.zip": "only one species in the input, 'Monarch'",
        "bad.zip": "4 of 10 photos cannot be used",
        "nowhere": "no such input",
        "empty": "no photos in",
    }.items():
        assert_one_line_error(train(tmp_path / source), part)
        assert not (tmp_path / "run").exists()
        assert not list(tmp_path.rglob(INFO_FILE))


def test_configs_that_are_none(train: Command, command: Command, tmp_path: Path) -> None:
    for arguments, part in {
        ("--config.optim.learning_rat=1",): "unknown config field optim.learning_rat; did you mean",
        ("--config.batch_size=many",): "batch_size",
        ("--config.batch_size=-1",): "batch_size = -1 must be 0 or more",
        ("--confog=1",): "unknown argument: --confog; did you mean --config?",
        ("--num_epochs=1",): "unknown argument: --num_epochs=1; did you mean --config.num_epochs=1?",
        ("--batch-size=8",): "unknown argument: --batch-size=8; did you mean --config.batch_size=8?",
        ("--verbose",): "unknown argument: --verbose (see --help)",
        ("--gpu", "x"): "invalid int value: 'x'",
    }.items():
        assert_one_line_error(train("fake", *arguments), part)
    assert_one_line_error(command("train", "--config", "no.py", "--input", "fake", "--output", "x"), "no.py")
    assert_one_line_error(command("train"), "--config, --input, --output")
    assert not (tmp_path / "run").exists()


def test_devices_that_are_not_there(train: Command, tmp_path: Path) -> None:
    env = on_devices(2) | {"JAX_PLATFORMS": "cpu"}
    assert_one_line_error(train("fake", "--gpu", 3, env=env), "--gpu 3: this machine has 2 device(s) of kind cpu")
    assert_one_line_error(train("fake", "--gpu", 0, env=env), "--gpu 0")
    assert_one_line_error(train("fake", "--config.batch_size=7", env=env), "batch_size = 7 must be a multiple of the 2")
    assert not (tmp_path / "run").exists()


def test_outputs_that_cannot_be(train: Command, command: Command, tiny_config: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.doc").write_text("precious")
    assert_one_line_error(train("fake"), "is not empty and holds no run")
    (tmp_path / "model.onnx").write_text("precious")
    with pytest.raises(UserError, match=r"model\.onnx is a file, not a run folder; take another --output"):
        runs.refuse_other_folders(tmp_path / "model.onnx")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".config.json.1f2e").write_text("{")
    runs.refuse_other_folders(tmp_path / "hidden")  # of a run killed while it wrote its config
    under_a_file = tmp_path / "run" / "thesis.doc" / "run"
    result = command("train", "--config", tiny_config, "--input", "fake", "--output", under_a_file)
    assert_one_line_error(result, "Not a directory")
    assert (tmp_path / "run" / "thesis.doc").read_text() == "precious"


# A limit on the size of files fails a write in the middle, as a full disk does. The config file is Python: it can set
# the limit once the photos are prepared, and the records are written.
DISK_FULL_FOR_RECORDS = """
import resource, sys
# Python 3.11 would keep a file of bytecode that is cut at the limit, for all tests.
sys.dont_write_bytecode = True
from butterflyer_jax.data.ingest import shard_writer
run_task = shard_writer.run_task
def limit_and_run(task):
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    run_task(task)
shard_writer.run_task = limit_and_run
"""
DISK_FULL_FOR_CHECKPOINTS = """
import resource, sys
sys.dont_write_bytecode = True
from butterflyer_jax.runs import checkpoint
save = checkpoint.Checkpointer.save
def limit_and_save(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (102400, 102400))
    save(*arguments)
checkpoint.Checkpointer.save = limit_and_save
"""


def test_a_full_disk_while_building(
    train: Command, command: Command, raw_zip: Path, tiny_config: Path, tmp_path: Path
) -> None:
    assert_one_line_error(train(raw_zip, prefix="ulimit -f 8"), "cannot write ", "photographs/", "File too large")
    deadly = tmp_path / "deadly.py"
    deadly.write_text(tiny_config.read_text() + DISK_FULL_FOR_RECORDS)
    result = command("train", "--config", deadly, "--input", raw_zip, "--output", tmp_path / "run")
    assert_one_line_error(result, f"cannot write {tmp_path}", "run the same command again: it resumes")
    assert not list(tmp_path.rglob(INFO_FILE))
    assert not (tmp_path / "run").exists()
    # There is space now.
    result = train(raw_zip)
    assert result.returncode == 0, result.stderr
    assert "resuming an interrupted build" in result.stderr


def test_a_full_disk_while_saving(command: Command, tiny_config: Path, tmp_path: Path) -> None:
    config, run = tmp_path / "deadly.py", tmp_path / "run"
    config.write_text(tiny_config.read_text() + DISK_FULL_FOR_CHECKPOINTS)
    line = ("--config", config, "--input", "fake", "--output", run, "--config.checkpoint.every_steps=1")
    assert_one_line_error(command("train", *line), "cannot write a checkpoint")
    assert not [path for path in (run / "checkpoints").iterdir() if path.name.isdigit()]


def test_runs_that_are_none(command: Command, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    for content in ("{", "[]", "{}", '{"config": null, "species": [], "dataset": "", "fingerprint": ""}'):
        (tmp_path / "damaged" / "config.json").write_text(content)
        with pytest.raises(UserError, match="is damaged"):
            runs.read(tmp_path / "damaged")
    assert_one_line_error(command("evaluate", "--run", tmp_path / "damaged"), "is damaged")
    assert_one_line_error(command("evaluate", "--run", tmp_path), "no run in")
    assert_one_line_error(command("predict", "--run", tmp_path, "a.jpg"), "no run in")
    assert_one_line_error(command("evaluate", "--run", tmp_path, "--split", "none"), "invalid choice: 'none'")
