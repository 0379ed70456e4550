"""`python -m butterflyer_jax.train` with W&B and TensorBoard: what they hold, and what cannot stop it."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.commands.test_train import KILL_WITHIN_AN_EPOCH, final_arrays, records
from tests.conftest import SPECIES, TINY_CONFIG, Command
from tests.terminal import on_terminal
from tests.tracking import wandb_files
from tests.tracking.wandb_server import WandbServer

# As long as a real one, so that W&B takes it for one.
KEY = "5ec2e7" * 7
SEND_EACH_SECOND = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
NO_KEY = {"WANDB_API_KEY": "", "NETRC": "/dev/null"}
TRACKED = ["--config.tracking.wandb=offline", "--config.tracking.tensorboard=true"]

SHORT_WAITS = """
from butterflyer_jax.tracking import wandb_tracker
wandb_tracker.INIT_SECONDS = wandb_tracker.FINISH_SECONDS = 3.0
"""
# W&B's process no longer finds the server.
LOSE_THE_NETWORK = """
import os, urllib.request
from butterflyer_jax import tracking
log = tracking.JsonlTracker.log
def log_and_lose(self, record):
    log(self, record)
    if record["step"] == 3:
        try:
            urllib.request.urlopen(os.environ["WANDB_BASE_URL"] + "/stop", data=b"")
        except OSError:
            pass
tracking.JsonlTracker.log = log_and_lose
"""
# W&B writes by way of a process of its own.
KILL_THE_SERVICE = """
import os, psutil
from butterflyer_jax import tracking
log = tracking.JsonlTracker.log
def log_and_kill(self, record):
    log(self, record)
    if record["step"] == 3:
        [service] = [p for p in psutil.Process().children(recursive=True) if "wandb-core" in p.name()]
        service.kill()
        service.wait()
tracking.JsonlTracker.log = log_and_kill
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


def wandb_runs(run: Path) -> list[wandb_files.WandbFile]:
    """Returns what is in the offline files of a run, the oldest first."""
    return [wandb_files.read(path) for path in sorted(run.glob("wandb/offline-run-*/*.wandb"))]


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
    assert file.config["start"]["photographs"] == [36, 12, 12]


def test_wandb_holds_pictures_and_the_best_scores(tracked: Tracked) -> None:
    [file] = wandb_runs(tracked.run)
    shown = [row for row in file.history if "val/samples/captions" in row]
    assert [row["step"] for row in shown] == [4, 8]
    # A batch of eight holds no more; each caption tells the photograph's own species.
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
    # W&B's files are written once a second.
    deadly.write_text(TINY_CONFIG + KILL_WITHIN_AN_EPOCH.replace("os.kill(", "__import__('time').sleep(3), os.kill("))
    run = tmp_path / "run"
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


def online(server: WandbServer, home: Path) -> dict[str, str]:
    return {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url, "HOME": str(home), **SEND_EACH_SECOND}


def test_online_it_goes_on_with_the_same_run(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    deadly = tmp_path / "deadly.py"
    # Rows are sent once a second.
    deadly.write_text(TINY_CONFIG + KILL_WITHIN_AN_EPOCH.replace("os.kill(", "__import__('time').sleep(4), os.kill("))
    run = tmp_path / "run"
    line = ["--input", dataset, "--output", run, "--config.tracking.wandb=online"]
    with WandbServer() as server:
        killed = command("train", "--config", deadly, *line, env=online(server, tmp_path))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        [run_id] = server.runs
        assert [row["step"] for row in server.runs[run_id].rows if "train/loss" in row] == [1, 2, 3, 4, 5]
        assert server.resumed == []
        again = command("train", "--config", tiny_config, *line, env=online(server, tmp_path))
        assert again.returncode == 0, again.stderr
    assert server.resumed == [run_id]
    assert [*server.runs] == [run_id]
    served = server.runs[run_id]
    # Step 5 was done twice, and stands twice; W&B's own count goes on.
    assert [row["step"] for row in served.rows if "train/loss" in row] == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    assert [row["_step"] for row in served.rows] == list(range(len(served.rows)))
    assert served.config["batch_size"]["value"] == 8
    assert any("samples" in name for name in served.files)
    assert f"W&B: {server.url}/people/butterflyer/runs/{run_id}" in again.stderr
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_a_network_that_dies_on_the_way_does_not_stop_it(
    trained_run: Path, dataset: Path, tmp_path: Path, command: Command
) -> None:
    config = tmp_path / "config.py"
    config.write_text(TINY_CONFIG + SHORT_WAITS + LOSE_THE_NETWORK)
    arguments = ["--config", config, "--input", dataset, "--output", tmp_path / "run"]
    start = time.monotonic()
    with WandbServer() as server:
        result = command("train", *arguments, "--config.tracking.wandb=online", env=online(server, tmp_path))
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - start < 60
    told = [line for line in result.stderr.splitlines() if "W&B" in line or "wandb" in line.lower()]
    assert told[1:] == [
        "W&B: uploading what is left",
        f"W&B: not all was uploaded within 3 s; to upload: cd {tmp_path / 'run'} && wandb sync --include-online",
    ]
    assert "Traceback" not in result.stderr
    assert records(tmp_path / "run") == records(trained_run)
    # All of it is in the files.
    [path] = (tmp_path / "run").glob("wandb/run-*/*.wandb")
    assert [row["step"] for row in wandb_files.read(path).history if "train/loss" in row] == list(range(1, 9))


def test_a_dead_network_does_not_stop_it(dataset: Path, tmp_path: Path, command: Command) -> None:
    config = tmp_path / "config.py"
    config.write_text(TINY_CONFIG + SHORT_WAITS)
    start = time.monotonic()
    env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    arguments = ["--config", config, "--input", dataset, "--output", tmp_path / "run"]
    result = command("train", *arguments, "--config.tracking.wandb=online", env=env)
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - start < 60
    [line] = [line for line in result.stderr.splitlines() if line.startswith("W&B")]
    assert "offline, as the server cannot be had" in line
    assert "connection refused" in line
    [file] = wandb_runs(tmp_path / "run")
    assert [row["step"] for row in file.history if "train/loss" in row] == list(range(1, 9))
    assert file.exit_code == 0
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_what_fails_on_the_way_is_left_behind(
    trained_run: Path, dataset: Path, tmp_path: Path, command: Command
) -> None:
    config = tmp_path / "config.py"
    config.write_text(TINY_CONFIG + KILL_THE_SERVICE)
    arguments = ["--config", config, "--input", dataset, "--output", tmp_path / "run"]
    result = command("train", *arguments, "--config.tracking.wandb=offline", env=NO_KEY, timeout=120)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("W&B")]
    assert len(lines) == 2, result.stderr
    assert lines[1].endswith("the run goes on without it")
    assert "Traceback" not in result.stderr
    assert records(tmp_path / "run") == records(trained_run)


def test_without_a_key_nobody_is_asked_for_one(dataset: Path, tiny_config: Path, tmp_path: Path) -> None:
    """On a terminal, where W&B would ask, with everything that a person sees there."""
    arguments = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run"]
    arguments += ["--config.tracking.wandb=online", "--config.num_epochs=4"]
    seen = on_terminal("-m", "butterflyer_jax.train", *arguments, env={**NO_KEY, "HOME": str(tmp_path)})
    assert seen.returncode == 0, seen.text
    assert "offline, as the server cannot be had: no key, give it with `wandb login` or WANDB_API_KEY" in seen.text
    assert len(wandb_runs(tmp_path / "run")) == 1

    # The panel.
    for row in ("data       36 train, 12 val, 12 test photographs of 3 species", "devices    1 cpu", "steps      16"):
        assert f"│ {row}" in seen.text
    # One line an epoch stays; the bar is drawn at most ten times a second, and gone in the end.
    assert [line[:9] for line in seen.lines if "val top1" in line and line.startswith("epoch")] == [
        f"epoch {epoch}/4" for epoch in (1, 2, 3, 4)
    ]
    bars = [line for line in seen.lines if "step" in line and "━" in line]
    assert any("compiling" in bar for bar in bars)
    assert any(part in bar for bar in bars for part in ("images/s", "evaluating"))
    assert "━" not in seen.lines[-2]
    assert seen.lines[-3].startswith("done: best val top1")
    # The cursor is hidden once, and shown again.
    assert seen.raw.count("\x1b[?25l") == seen.raw.count("\x1b[?25h") == 1
