"""W&B over a network, and what cannot stop a training."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.commands.test_train import KILL_WITHIN_AN_EPOCH, records
from tests.conftest import TINY_CONFIG, Command
from tests.helpers import wandb_files
from tests.helpers.terminal import on_terminal
from tests.helpers.wandb_files import KEY, NO_KEY, wandb_runs
from tests.helpers.wandb_server import WandbServer

SEND_EACH_SECOND = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
SHORT_START = """
from butterflyer_jax.tracking import wandb_tracker
wandb_tracker.INIT_SECONDS = 3.0
"""
SHORT_END = SHORT_START.replace("INIT", "FINISH")
# Rows are sent once a second, by W&B's process.
WAIT_UNTIL_SENT = """
import json, os, time, urllib.request
def wait_until_sent(step):
    end = time.monotonic() + 120
    while step not in json.load(urllib.request.urlopen(os.environ["WANDB_BASE_URL"] + "/steps")):
        assert time.monotonic() < end
        time.sleep(0.05)
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


def online(server: WandbServer, home: Path) -> dict[str, str]:
    return {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url, "HOME": str(home), **SEND_EACH_SECOND}


def test_online_it_resumes_with_the_same_run(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    deadly = tmp_path / "deadly.py"
    kill = KILL_WITHIN_AN_EPOCH.replace("os.kill(", "wait_until_sent(5), os.kill(")
    deadly.write_text(TINY_CONFIG + WAIT_UNTIL_SENT + kill)
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
    # Step 5 was done twice, and stands twice; W&B's own count continues.
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
    config.write_text(TINY_CONFIG + SHORT_END + LOSE_THE_NETWORK)
    arguments = ["--config", config, "--input", dataset, "--output", tmp_path / "run"]
    start = time.monotonic()
    with WandbServer() as server:
        result = command("train", *arguments, "--config.tracking.wandb=online", env=online(server, tmp_path))
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - start < 60
    reported = [line for line in result.stderr.splitlines() if "W&B" in line or "wandb" in line.lower()]
    assert reported[1:] == [
        "W&B: uploading what is left",
        f"W&B: not all was uploaded within 3 s; to upload: cd {tmp_path / 'run'} && wandb sync --include-online",
    ]
    assert "Traceback" not in result.stderr
    assert records(tmp_path / "run") == records(trained_run)
    # All of it is in the files.
    [path] = (tmp_path / "run").glob("wandb/run-*/*.wandb")
    assert [row["step"] for row in wandb_files.read(path).history if "train/loss" in row] == list(range(1, 9))


def test_rows_that_the_server_refuses_are_reported(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    arguments = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run"]
    with WandbServer() as server:
        server.refuses_rows = True
        result = command("train", *arguments, "--config.tracking.wandb=online", env=online(server, tmp_path))
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("W&B")]
    assert lines[-1] == (
        "W&B: the server refused rows of the run: 403 Forbidden; "
        f"to upload: cd {tmp_path / 'run'} && wandb sync --include-online"
    )


def test_a_dead_network_does_not_stop_it(dataset: Path, tmp_path: Path, command: Command) -> None:
    config = tmp_path / "config.py"
    config.write_text(TINY_CONFIG + SHORT_START)
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
    assert lines[1].endswith("the run continues without it")
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
    for row in ("data       36 train, 12 val, 12 test photos of 3 species", "devices    1 cpu", "steps      16"):
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
    # The cursor is shown again each time that it was hidden.
    assert seen.raw.count("\x1b[?25l") == seen.raw.count("\x1b[?25h") > 0
    assert seen.raw.rindex("\x1b[?25l") < seen.raw.rindex("\x1b[?25h")
