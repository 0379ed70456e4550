"""Cross-validation: a run for each fold, and one table of mean and spread over the folds."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from butterflyer_jax import runs
from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import evaluate as evaluation
from butterflyer_jax.metrics import classification
from butterflyer_jax.storage import files, paths
from butterflyer_jax.training.preemption import EXIT_CODES

RESULTS_FILE = "folds.json"
# Of a fold that is begun when the time is over: it saves after its first step.
SHORTEST_MINUTES = 1e-3
SCORES = ("top1", "top5", "balanced_accuracy", "loss")


class Trained(Protocol):
    """What training returns: the run folder, its best checkpoint, and why it stopped before its last step, if so."""

    folder: str
    best_step: int
    stopped: str | None


T = TypeVar("T", bound=Trained)


def train_folds(
    train: Callable[[Config, str], T], config: Config, output: str | os.PathLike[str], num_folds: int
) -> T | dict[str, Any]:
    """Trains and tests a run for each fold, in `fold-1` and so on; what is finished already is only read.

    Every photo of train, val and test is in one fold; groups are never divided. The run of a fold is tested on it, and
    has the next fold for val.

    Args:
      train: trains a config in a folder, or resumes it.
      config: config of every fold.
      output: folder of the runs; the table is written to `folds.json` in it.
      num_folds: number of folds, 3 or more.

    Returns:
      What `summary` returns; or the run under way, if it was stopped before its last step.

    Raises:
      UserError: the folder holds a single run, or a fold cannot be trained.
    """
    if config.data.num_folds:
        raise UserError(
            f"--folds {num_folds} trains every fold, and config field data.fold = {config.data.fold} one: take either"
        )
    folder = paths.path(output)
    if files.exists(folder / runs.CONFIG_FILE):
        raise UserError(f"{folder} holds a single run; take another --output for folds")
    rows = []
    began = time.monotonic()
    for fold in range(1, num_folds + 1):
        say(f"fold {fold} of {num_folds}")
        of_fold = config.replace(data=dataclasses.replace(config.data, num_folds=num_folds, fold=fold)).validate()
        if limit := config.stop.max_minutes:
            # The limit is one of the process.
            left = max(limit - (time.monotonic() - began) / 60, SHORTEST_MINUTES)
            of_fold = of_fold.replace(stop=dataclasses.replace(config.stop, max_minutes=left))
        run = train(of_fold, str(folder / f"fold-{fold}"))
        if run.stopped in EXIT_CODES:
            return run
        rows.append(_test(run) | {"fold": fold, "run": run.folder})
    found = summary(rows)
    files.write_json(folder / RESULTS_FILE, found)
    return found


def _test(run: Trained) -> dict[str, Any]:
    """Returns the metrics of a run on its test fold, evaluated unless that is done."""
    file = paths.path(run.folder) / evaluation.FOLDER / "test" / evaluation.METRICS_FILE
    if files.exists(file):
        metrics: dict[str, Any] = json.loads(files.read_text(file))
        if metrics["step"] == run.best_step:
            return metrics
    return evaluation.evaluate(run.folder, "test")


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the table of the folds.

    Args:
      rows: metrics of each fold, as `evaluate` returns them, with `fold` and `run`.

    Returns:
      folds, with fold, run, count and the scores top1, top5, balanced_accuracy and loss of each; mean and std (sample
      standard deviation) of the scores over the folds; count, top1 and its interval (Wilson, 95%) over all photos, each
      tested once; species, with recall, support and interval of each over all photos.
    """
    count = sum(row["count"] for row in rows)
    right = round(sum(row["top1"] * row["count"] for row in rows))
    species = {}
    for name in rows[0]["species"]:
        of_species = [row["species"][name] for row in rows]
        support = sum(one["support"] for one in of_species)
        found = round(sum(one["recall"] * one["support"] for one in of_species if one["support"]))
        species[name] = {
            "recall": found / support if support else None,
            "support": support,
            "interval": classification.wilson(found, support),
        }
    scores = {score: [float(row[score]) for row in rows] for score in SCORES}
    return {
        "folds": [{key: row[key] for key in ("fold", "run", "count", *SCORES)} for row in rows],
        "mean": {score: float(np.mean(values)) for score, values in scores.items()},
        "std": {score: float(np.std(values, ddof=1)) for score, values in scores.items()},
        "count": count,
        "top1": right / count,
        "interval": classification.wilson(right, count),
        "species": species,
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """Returns the table of `summary` as lines of text."""
    rows: list[tuple[str, ...]] = [("fold", "photos", "top1", "top5", "balanced", "loss")]
    rows += [(str(row["fold"]), str(row["count"]), *_shown(row)) for row in found["folds"]]
    rows += [("mean", "", *_shown(found["mean"])), ("std", "", *_shown(found["std"]))]
    low, high = found["interval"]
    return [
        *("  ".join(cell.rjust(8) for cell in row) for row in rows),
        f"all {found['count']:,} photos, each tested once: top1 {found['top1']:.1%} ({low:.1%} to {high:.1%})",
    ]


def _shown(scores: Mapping[str, float]) -> tuple[str, ...]:
    return (*(f"{scores[name]:.1%}" for name in SCORES[:3]), f"{scores['loss']:.3f}")
