"""The Optuna study of a sweep: its journal, its trials, and the locks by which processes divide them."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from butterflyer_jax import extras
from butterflyer_jax.config import Config, flatten
from butterflyer_jax.config.search import Sweep, Uniform, scalar
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics.classification import FALLING
from butterflyer_jax.storage import open_files

if TYPE_CHECKING:
    import optuna

JOURNAL_FILE, LOCK_FILE = "sweep.journal", ".sweep.lock"
# Folder of a trial, and what sweeps of versions without Optuna left.
RUN, OLD_FILE = "run", "sweep.json"


def open_study(folder: Path, sweep: Sweep, config: Config, overrides: Sequence[str]) -> optuna.Study:
    """Opens the study of a folder, or creates it.

    Args:
      folder: folder of the sweep.
      sweep: values to try.
      config: config that the trials vary, for its metric.
      overrides: config fields set for every trial.

    Raises:
      UserError: the folder holds another sweep, or Optuna is missing.
    """
    extras.require("sweep", "optuna", purpose="a sweep")
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if (folder / OLD_FILE).exists():
        raise UserError(f"{folder} holds a sweep of an older version; take another --output")
    identity = {
        "fields": {name: str(space) for name, space in {**sweep.grid, **sweep.random}.items()},
        "sampler": sweep.sampler,
        "seed": sweep.seed,
        "overrides": list(overrides),
    }
    pruners = {
        "none": optuna.pruners.NopPruner,
        "median": optuna.pruners.MedianPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
    }
    with locked(folder / LOCK_FILE):
        study = optuna.create_study(
            study_name="sweep",
            storage=JournalStorage(JournalFileBackend(os.fspath(folder / JOURNAL_FILE))),
            direction="minimize" if config.checkpoint.metric in FALLING else "maximize",
            pruner=pruners[sweep.pruner](),
            load_if_exists=True,
        )
        before = study.user_attrs.setdefault("sweep", identity)
        if before != identity:
            changed = " and ".join(name for name in identity if before.get(name) != identity[name])
            raise UserError(f"{folder} holds another sweep, the {changed} differ; take another --output")
        study.set_user_attr("sweep", identity)
    return study


def enqueue(study: optuna.Study, sweep: Sweep, retry_failed: bool) -> None:
    """Adds the trials that the study lacks and, with `retry_failed`, the failed ones again."""
    latest = latest_trials(study)
    for number, fixed in enumerate(sweep.combinations()):
        name = f"trial_{number:03}"
        if name not in latest:
            study.enqueue_trial(fixed, user_attrs={RUN: name})
        elif retry_failed and latest[name].state.name == "FAIL":
            study.enqueue_trial(latest[name].params, user_attrs={RUN: name})


def latest_trials(study: optuna.Study) -> dict[str, optuna.trial.FrozenTrial]:
    """Returns the newest trial of each run folder."""
    return {trial.user_attrs[RUN]: trial for trial in study.get_trials(deepcopy=False)}


def next_trial(study: optuna.Study, folder: Path, sweep: Sweep, config: Config) -> tuple[optuna.Trial, Any] | None:
    """Returns a trial to train, with its open lock file; None where none is left.

    The training inherits the lock. So a trial whose lock is free has been left by a process that was killed, and one
    whose training has outlived its parent is not started a second time.
    """
    import optuna

    with locked(folder / LOCK_FILE):
        for frozen in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            if lock := try_lock(folder / f".{frozen.user_attrs[RUN]}.lock"):
                return _suggest(optuna.Trial(study, frozen._trial_id), sweep, config), lock
        waiting = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        if not waiting:
            return None
        # Another seed for each trial: processes with one seed would draw the same values.
        seed = sweep.seed * 100_003 + waiting[0].number
        samplers: dict[str, Any] = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
            # Its sequence is one, and its place in it is in the journal.
            "qmc": lambda: optuna.samplers.QMCSampler(scramble=True, seed=sweep.seed, warn_asynchronous_seeding=False),
        }
        study.sampler = samplers[sweep.sampler]()
        trial = study.ask()
        lock = try_lock(folder / f".{trial.user_attrs[RUN]}.lock")
        if lock is None:
            raise UserError(f"{folder / trial.user_attrs[RUN]} is still trained by another process; end that first")
        return _suggest(trial, sweep, config), lock


def _suggest(trial: optuna.Trial, sweep: Sweep, config: Config) -> optuna.Trial:
    """Gives a trial its values, and returns it; what it has it keeps."""
    known = flatten(config)
    for name, space in {**sweep.grid, **sweep.random}.items():
        if not isinstance(space, Uniform):
            trial.suggest_categorical(name, list(dict.fromkeys(map(scalar, space))))
        elif known[name][1] is int:
            trial.suggest_int(name, math.ceil(space.low), math.floor(space.high), log=space.log)
        else:
            trial.suggest_float(name, space.low, space.high, log=space.log)
    return trial


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds a lock that processes of one sweep take in turn."""
    with file.open("a") as lock:
        open_files.lock(lock)
        yield


def try_lock(file: Path) -> Any:
    """Returns an open file whose lock this process holds until it is closed; None where another holds it."""
    lock = file.open("a")
    if not open_files.try_lock(lock):
        lock.close()
        return None
    return lock
