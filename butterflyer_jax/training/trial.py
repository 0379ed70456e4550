"""A trial of a sweep: one training in its own process, whose evaluations and result are reported to Optuna."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics.classification import rank
from butterflyer_jax.tracking.jsonl import read_records
from butterflyer_jax.tracking.trackers import METRICS_FILE
from butterflyer_jax.training.preemption import EXIT_CODES

if TYPE_CHECKING:
    import optuna

TRAIN = (sys.executable, "-m", "butterflyer_jax.train")
POLL_SECONDS = 0.5
SCORES = ("step", "top1", "top5", "balanced_accuracy", "loss")


class StoppedError(UserError):
    """A trial that a signal or a time limit ended before its last step.

    Attributes:
      exit_code: exit code of a command that ends so.
    """

    def __init__(self, name: str, exit_code: int) -> None:
        """Names the trial and the exit code."""
        super().__init__(f"{name} was stopped")
        self.exit_code = exit_code


def train_trial(
    study: optuna.Study,
    trial: optuna.Trial,
    folder: Path,
    config: Config,
    config_file: str,
    input: str,
    overrides: Sequence[str],
    received: Sequence[int],
    lock: int,
) -> None:
    """Trains one trial, or resumes it, and reports its result.

    Args:
      study: sweep that the trial belongs to.
      trial: trial with its values by config field.
      folder: run folder of the trial.
      config: config that the trial varies; it names the metric.
      config_file: file that defines the config.
      input: raw zip, folder or built data set, as in `train`.
      overrides: config fields set for every trial.
      received: signals that this process received so far; one ends the training, which saves first.
      lock: file descriptor that the training inherits.

    Raises:
      StoppedError: a signal or a time limit ended the training; the trial stays running in the study.
    """
    settings = [*overrides, *(f"{name}={value}" for name, value in trial.params.items())]
    line = [*TRAIN, "--config", config_file, "--input", input, "--output", os.fspath(folder)]
    line += [f"--config.{setting}" for setting in settings]
    # A separate process: memory that one training leaves, or a crash, does not reach the next.
    process = subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", errors="replace", pass_fds=[lock]
    )
    said: list[str] = []
    relay = threading.Thread(target=_relay, args=(process.stderr, said), daemon=True)
    relay.start()
    ending = pruned = False
    while (code := _wait(process)) is None:
        _report(study, trial, folder, config)
        if ending:
            continue
        pruned = not received and trial.should_prune()
        ending = bool(received) or pruned
        if pruned:
            say(f"{folder.name} is worse than the others so far: pruned")
        if ending:
            process.terminate()
    relay.join(POLL_SECONDS)
    evaluations = _report(study, trial, folder, config)
    if received and code != 0:
        raise StoppedError(folder.name, 128 + received[0])
    if code in EXIT_CODES.values() and not pruned:
        raise StoppedError(folder.name, code)
    best = max(evaluations, key=lambda line: rank(line, config.checkpoint.metric), default=None)
    if best is not None and (code == 0 or pruned):
        for name in SCORES:
            trial.set_user_attr(name, best[name])
    if pruned and code != 0:
        study.tell(trial, state=_state("PRUNED"))
    elif code == 0 and best is not None:
        study.tell(trial, best[config.checkpoint.metric])
    else:
        reason = _why_failed(code, said)
        trial.set_user_attr("error", reason)
        study.tell(trial, state=_state("FAIL"))
        say(f"{folder.name} failed: {reason}")


def _why_failed(code: int, said: Sequence[str]) -> str:
    """Returns why a training has no result, from its exit code and the last line that it said."""
    if code == 0:
        return "no evaluation on a val split, which a sweep ranks by"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return said[-1].removeprefix("error: ") if said else f"exit code {code}"


def _state(name: str) -> optuna.trial.TrialState:
    import optuna

    return optuna.trial.TrialState[name]


def _wait(process: subprocess.Popen[str]) -> int | None:
    try:
        return process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _relay(lines: IO[str] | None, said: list[str]) -> None:
    """Copies a training's stderr to this process's stderr, and keeps its last line, which is the error if any."""
    for line in lines or ():
        say(line.rstrip("\n"))
        if line.strip():
            said[:] = [line.strip()]


def _report(study: optuna.Study, trial: optuna.Trial, folder: Path, config: Config) -> list[dict[str, Any]]:
    """Reports evaluations that Optuna does not know yet, numbered from 1; returns all of them."""
    records = read_records(folder / METRICS_FILE)
    evaluations = [record for record in records if record["split"] == "val"]
    known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for number, line in enumerate(evaluations, start=1):
        if number not in known:
            trial.report(line[config.checkpoint.metric], number)
    return evaluations
