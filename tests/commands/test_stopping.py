"""Runs that end early, break, are looked at before, or are killed again and again, through the commands."""

from __future__ import annotations

import functools
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.commands.test_train import final_arrays, records
from tests.conftest import QUICKLY_COMPILED, TINY_CONFIG, Command, assert_one_line_error

# The config file is Python: it sends this process a signal when a step is logged.
SIGNAL_AT_STEP = """
import os, signal
from butterflyer_jax import tracking
log = tracking.JsonlTracker.log
def log_and_signal(self, record):
    log(self, record)
    if record["step"] == {step} and record["split"] == "train":
        os.kill(os.getpid(), signal.{name})
tracking.JsonlTracker.log = log_and_signal
"""
# Dies with SIGKILL at a moment of its own, the first time that it comes there; $MOMENT counts them.
DEADLY = """
import os, signal
from butterflyer_jax import tracking
from butterflyer_jax.runs import checkpoint
from butterflyer_jax.training import loop, state, step_logger

def die_when(owner, name, condition, after=False):
    original = getattr(owner, name)
    def wrapper(*args, **kwargs):
        due = condition(*args, **kwargs)
        if due and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapper)

def at_step(split, number):
    return lambda self, record: record["split"] == split and record["step"] == number

def any_call(*args, **kwargs):
    return True

def saves(number):
    return lambda self, at, *args, **kwargs: at == number

MOMENTS = [
    lambda: die_when(state, "create_state", any_call, after=True),
    lambda: die_when(step_logger.StepLog, "add", any_call),
    lambda: die_when(tracking.JsonlTracker, "log", at_step("train", 1), after=True),
    lambda: die_when(tracking.JsonlTracker, "log", at_step("train", 3)),
    lambda: die_when(loop, "evaluate_batches", any_call),
    lambda: die_when(tracking.JsonlTracker, "log", at_step("val", 4), after=True),
    lambda: die_when(checkpoint.Checkpointer, "save", saves(4)),
    lambda: die_when(checkpoint.Checkpointer, "save", saves(4), after=True),
    lambda: die_when(tracking.JsonlTracker, "log", at_step("train", 6), after=True),
    lambda: die_when(checkpoint.Checkpointer, "save", saves(8), after=True),
]
if os.environ.get("MOMENT"):
    MOMENTS[int(os.environ["MOMENT"])]()
"""
NUM_MOMENTS = 10


def test_a_signal_ends_the_step_saves_and_says_how_to_resume(
    trained_run: Path, dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    """Three signals, one after the other in one run: within an epoch, at its end, and within the next."""
    config = tmp_path / "signalled.py"
    line = ["--input", dataset, "--output", tmp_path / "run"]
    for step, name in ((1, "SIGTERM"), (3, "SIGINT"), (5, "SIGHUP")):
        config.write_text(TINY_CONFIG + SIGNAL_AT_STEP.format(step=step, name=name))
        stopped = command("train", "--config", config, *line)
        assert stopped.returncode == 128 + signal.Signals[name], stopped.stderr
        assert step == 1 or f"resuming from step {step - 1} of 8" in stopped.stderr
        result = "no evaluation on val" if step == 1 else "best val top1"
        assert f"stopped at step {step + 1}, {name}: {result}" in stopped.stdout
        assert f"next: the same command resumes from step {step + 1}" in stopped.stdout
    again = command("train", "--config", tiny_config, *line)
    assert again.returncode == 0, again.stderr
    assert "resuming from step 6 of 8" in again.stderr
    for one, other in zip(final_arrays(trained_run), final_arrays(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert records(tmp_path / "run") == records(trained_run)


def test_time_patience_and_target_end_a_run(dataset: Path, tiny_config: Path, tmp_path: Path, command: Command) -> None:
    line = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", "--config.num_epochs=6"]
    # No step takes so little.
    stopped = command("train", *line, "--config.stop.max_minutes=0.0001")
    assert stopped.returncode == 75, stopped.stderr
    assert "its time is over" in stopped.stdout

    # A learning rate of zero: nothing ever gets better than after the first epoch.
    still = [*line[:-3], "--output", tmp_path / "still", "--config.num_epochs=6", "--config.optim.learning_rate=0"]
    still += ["--config.model.batch_norm_momentum=1.0"]
    train_still = functools.partial(command, "train", *still, env=QUICKLY_COMPILED)
    patient = train_still("--config.stop.patience=2")
    assert patient.returncode == 0, patient.stderr
    assert "stopped at step 12, val top1 has not become better" in patient.stdout
    again = train_still("--config.stop.patience=2")
    assert "stopped at step 12" in again.stdout, "it knows without another epoch"
    on = train_still("--config.stop.patience=0", "--config.stop.target=0.0001")
    assert "reached the target" in on.stdout


def test_killed_ten_times_ends_as_if_never(trained_run: Path, dataset: Path, tmp_path: Path, command: Command) -> None:
    """A chain: each start resumes what the one before left, and dies a little later."""
    deadly = tmp_path / "deadly.py"
    deadly.write_text(TINY_CONFIG + DEADLY)
    line = ["--config", deadly, "--input", dataset, "--output", tmp_path / "run"]
    for moment in range(NUM_MOMENTS):
        killed = command("train", *line, env={"MOMENT": str(moment)})
        assert killed.returncode == -signal.SIGKILL, (moment, killed.stderr)
    whole = command("train", *line)
    assert whole.returncode == 0, whole.stderr
    for one, other in zip(final_arrays(trained_run), final_arrays(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert records(tmp_path / "run") == records(trained_run)


def test_averages_and_a_plateau_resume_where_they_were(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    command = functools.partial(command, env=QUICKLY_COMPILED)
    config = tmp_path / "signalled.py"
    config.write_text(TINY_CONFIG + SIGNAL_AT_STEP.format(step=3, name="SIGTERM"))
    fields = ["--config.optim.average=ema", "--config.optim.schedule=plateau", "--config.optim.plateau_epochs=1"]
    line = ["--input", dataset, *fields]
    whole = command("train", "--config", tiny_config, *line, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert command("train", "--config", config, *line, "--output", tmp_path / "run").returncode == 143
    again = command("train", "--config", tiny_config, *line, "--output", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    for one, other in zip(final_arrays(tmp_path / "whole"), final_arrays(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    evaluated = command("evaluate", "--run", tmp_path / "run", "--split", "val")
    assert evaluated.returncode == 0, evaluated.stderr
    metrics = json.loads((tmp_path / "run" / "eval" / "val" / "metrics.json").read_text())
    [logged] = [
        line for line in records(tmp_path / "run") if line["split"] == "val" and line["step"] == metrics["step"]
    ]
    assert metrics["loss"] == pytest.approx(logged["loss"], rel=1e-5), "the averaged weights are what is evaluated"


def test_a_broken_step_is_kept_and_done_again(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    command = functools.partial(command, env=QUICKLY_COMPILED)
    line = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", "--config.optim.name=sgd"]
    line += ["--config.optim.learning_rate=1000", "--config.model.batch_norm=false", "--config.optim.warmup_epochs=0"]
    broken = command("train", *line)
    assert_one_line_error(broken, "lower optim.learning_rate", "Its batch is in", "--replay")
    [folder] = (tmp_path / "run" / "broken").iterdir()
    about = json.loads((folder / "about.json").read_text())
    batch = np.load(folder / "batch.npz")
    assert folder.name == f"step_{about['step']}"
    assert batch["image"].shape == (8, 32, 32, 3)
    assert about["index"] == batch["index"].tolist()
    again = command("train", *line, "--replay")
    assert again.returncode == 0, again.stderr
    assert f"step {about['step']}, from the checkpoint of step 0: gradient_norm " in again.stdout
    assert ("not finite first in" in again.stdout) != ("its gradient breaks it" in again.stdout)


def test_a_rate_is_found_and_one_batch_learned(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    line = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run"]
    looked = command("train", *line, "--find_lr", "--sanity")
    assert looked.returncode == 0, looked.stderr
    found = json.loads((tmp_path / "run" / "find_lr.json").read_text())
    assert 1e-5 < found["suggestion"] < 1
    assert f"--config.optim.learning_rate={found['suggestion']:.2g}" in looked.stdout
    assert "one batch learned" in looked.stdout
    for name in ("find_lr", "sanity"):
        assert (tmp_path / "run" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    # The run itself goes into the same folder.
    assert command("train", *line, "--config.num_epochs=1").returncode == 0
    nothing = command("train", *line[:-1], tmp_path / "other", "--sanity", "--config.optim.learning_rate=0")
    assert nothing.returncode == 1
    assert "one batch not learned" in nothing.stdout
