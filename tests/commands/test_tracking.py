"""`python -m butterflyer_jax.train` with W&B and TensorBoard: what they hold."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.commands.test_train import KILL_WITHIN_AN_EPOCH, final_arrays, records
from tests.conftest import SPECIES, TINY_CONFIG, Command
from tests.helpers.wandb_files import KEY, NO_KEY, wandb_runs

TRACKED = ["--config.tracking.wandb=offline", "--config.tracking.tensorboard=true"]
# W&B's process writes its files once a second.
WAIT_UNTIL_WRITTEN = """
import contextlib, pathlib, time
from google.protobuf.message import DecodeError
from tests.helpers.wandb_files import wandb_runs
def wait_until_written(step, run):
    end = time.monotonic() + 120
    while True:
        # The head of the file, or the last record, may be there in part.
        with contextlib.suppress(AssertionError, DecodeError):
            if any(row.get("step") == step for file in wandb_runs(pathlib.Path(run)) for row in file.history):
                return
        assert time.monotonic() < end
        time.sleep(0.05)
"""


@dataclass
class Tracked:
    """A run with trackers, and where its command stood."""

    run: Path
    home: Path
    cwd: Path
    stderr: str


@pytest.fixture(scope="module")
def tracked(dataset: Path, tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """An undisturbed run with everything on, and a key in the environment."""
    import subprocess
    import sys

    from tests.conftest import ROOT

    folder = tmp_path_factory.mktemp("tracked")
    made = Tracked(folder / "runs" / "first", folder / "home", folder / "cwd", "")
    made.home.mkdir()
    made.cwd.mkdir()
    line = ["--config", tiny_config, "--input", dataset, "--output", made.run, *TRACKED]
    line += ["--config.tracking.wandb_artifact=true", "--config.tracking.wandb_tags=small, quick"]
    env = {**os.environ, "HOME": str(made.home), "WANDB_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "butterflyer_jax.train", *map(str, line)],
        cwd=made.cwd,
        env=env,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    made.stderr = result.stderr
    return made


def test_wandb_holds_what_the_run_logged(tracked: Tracked) -> None:
    [file] = wandb_runs(tracked.run)
    assert file.run.project == "butterflyer"
    assert file.run.display_name == "first"
    assert sorted(file.run.tags) == ["quick", "small"]
    assert json.loads((tracked.run / "wandb.json").read_text()) == {"id": file.run.run_id}
    assert file.exit_code == 0
    # System metrics.
    assert {"environment", "stats"} <= file.kinds

    rows = {(row["step"], "train" if "train/loss" in row else "val"): row for row in file.history if "epoch" in row}
    lines = [json.loads(line) for line in (tracked.run / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == len(lines)
    for line in lines:
        row = rows[line["step"], line["split"]]
        for name, value in line.items():
            if name != "split":
                assert row[name if name in ("step", "epoch") else f"{line['split']}/{name}"] == value
    assert any(metric.glob_name == "*" and metric.step_metric == "step" for metric in file.metrics)


def test_wandb_holds_the_resolved_config(tracked: Tracked) -> None:
    [file] = wandb_runs(tracked.run)
    saved = json.loads((tracked.run / "config.json").read_text())["config"]
    assert {name: file.config[name] for name in saved} == saved
    assert "jax" in file.config["made_by"]["versions"]
    assert file.config["start"]["num_species"] == 3
    assert file.config["start"]["photos"] == [36, 12, 12]


def test_wandb_holds_pictures_and_the_best_scores(tracked: Tracked) -> None:
    [file] = wandb_runs(tracked.run)
    shown = [row for row in file.history if "val/samples/captions" in row]
    assert [row["step"] for row in shown] == [4, 8]
    # A batch of eight holds no more; each caption gives the species of its own photo.
    assert all(row["val/samples/count"] == 8 for row in shown)
    captions = shown[0]["val/samples/captions"]
    assert [caption.split(":")[0] for caption in captions] == [
        caption.split(":")[0] for caption in shown[1]["val/samples/captions"]
    ]
    assert {caption.split(":")[0] for caption in captions} <= set(SPECIES)

    [folder] = tracked.run.glob("wandb/offline-run-*/files")
    assert len(list(folder.glob("media/images/val/samples*.jpg"))) == 16
    assert len(list(folder.glob("media/images/val/confusion*.png"))) == 2

    val = [record for record in records(tracked.run) if record["split"] == "val"]
    best = max(val, key=lambda record: (record["top1"], -record["loss"]))
    assert file.summary["best/step"] == best["step"]
    assert file.summary["best/val_top1"] == best["top1"]


def test_the_artifact_is_a_run_to_predict_with(tracked: Tracked, tmp_path: Path) -> None:
    from butterflyer_jax import Predictor
    from tests.conftest import make_photo

    [file] = wandb_runs(tracked.run)
    # No tables: while they are uploaded, what was logged after them waits.
    [artifact] = file.artifacts
    assert artifact.type == "model"
    assert "best" in artifact.aliases
    for entry in artifact.manifest.contents:
        target = tmp_path / "downloaded" / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not a copy: the run's own file.
        assert Path(entry.local_path) == tracked.run / entry.path
        target.write_bytes(Path(entry.local_path).read_bytes())
    photo = make_photo(3)
    assert Predictor.load(tmp_path / "downloaded").predict([photo]) == Predictor.load(tracked.run).predict([photo])
    assert not list((tmp_path / "downloaded").glob("checkpoints/*/optimizer"))


def test_tensorboard_holds_what_the_run_logged(tracked: Tracked) -> None:
    from tests.tracking.test_tensorboard import read, scalars

    lines = [json.loads(line) for line in (tracked.run / "metrics.jsonl").read_text().splitlines()]
    for split in ("train", "val"):
        wanted = [(line["step"], line["loss"]) for line in lines if line["split"] == split]
        assert scalars(tracked.run / "tensorboard", f"{split}/loss") == [
            (step, pytest.approx(loss, abs=1e-6)) for step, loss in wanted
        ]
    for tag in ("val/confusion", "val/samples"):
        assert [event.step for event in read(tracked.run / "tensorboard").Images(tag)] == [4, 8]


def test_no_key_is_written_anywhere(tracked: Tracked) -> None:
    files = [path for folder in (tracked.run, tracked.home) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
    assert KEY not in tracked.stderr


def test_all_of_it_lies_in_the_run_folder(tracked: Tracked) -> None:
    assert list(tracked.cwd.iterdir()) == []
    # What W&B's own process says, and no more.
    assert {path.name for path in (tracked.home / ".cache" / "wandb").iterdir()} <= {"logs"}
    assert not (tracked.home / ".local").exists()


def test_wandb_itself_is_quiet(tracked: Tracked) -> None:
    lines = [line for line in tracked.stderr.splitlines() if "wandb" in line.lower() or "W&B" in line]
    assert lines == [f"W&B: offline; to upload: cd {tracked.run} && wandb sync"]


def test_trackers_change_nothing_of_the_training(tracked: Tracked, trained_run: Path) -> None:
    for one, other in zip(final_arrays(trained_run), final_arrays(tracked.run), strict=True):
        np.testing.assert_array_equal(one, other)
    assert records(tracked.run) == records(trained_run)


def test_going_on_is_the_same_run_at_wandb_and_needs_no_tracker(
    trained_run: Path, dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    from tests.tracking.test_tensorboard import scalars

    deadly = tmp_path / "deadly.py"
    run = tmp_path / "run"
    kill = KILL_WITHIN_AN_EPOCH.replace("os.kill(", f"wait_until_written(5, {str(run)!r}), os.kill(")
    deadly.write_text(TINY_CONFIG + WAIT_UNTIL_WRITTEN + kill)
    line = ["--input", dataset, "--output", run]
    killed = command("train", "--config", deadly, *line, *TRACKED, env=NO_KEY)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = command("train", "--config", tiny_config, *line, *TRACKED, env=NO_KEY)
    assert again.returncode == 0, again.stderr
    before, after = wandb_runs(run)
    assert before.run.run_id == after.run.run_id == json.loads((run / "wandb.json").read_text())["id"]
    assert [row["step"] for row in before.history if "train/loss" in row] == [1, 2, 3, 4, 5]
    assert before.exit_code is None
    assert [row["step"] for row in after.history if "train/loss" in row] == [5, 6, 7, 8]
    assert records(run) == records(trained_run)
    # Step 5 was done before the kill, too.
    assert [step for step, _ in scalars(run / "tensorboard", "train/loss")] == [1, 2, 3, 4, 5, 6, 7, 8]

    # Finished, it is left alone, with other trackers, and from before there were any.
    config = json.loads((run / "config.json").read_text())
    del config["config"]["tracking"]
    (run / "config.json").write_text(json.dumps(config))
    files = {path for path in run.rglob("*") if path.is_file()}
    finished = command("train", "--config", tiny_config, *line, "--config.tracking.wandb=offline", env=NO_KEY)
    assert finished.returncode == 0, finished.stderr
    assert {path for path in run.rglob("*") if path.is_file()} == files
