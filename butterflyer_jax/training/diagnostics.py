"""Diagnostics of a run: learning-rate range test, one-batch overfit test, and replay of a step that was not finite."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
from etils import epath

from butterflyer_jax import runs
from butterflyer_jax.config import AugmentConfig, Config
from butterflyer_jax.console import progress
from butterflyer_jax.errors import UserError
from butterflyer_jax.models.variables import Batch
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.storage import files, paths
from butterflyer_jax.training import nonfinite, step
from butterflyer_jax.training import state as state_lib
from butterflyer_jax.training.session import open_session

LOWEST_RATE, HIGHEST_RATE = 1e-6, 10.0
FINDING_STEPS = 100
# The search ends where the loss exceeds its lowest value by this factor.
DIVERGED = 4.0
# Weight of the previous running mean of the loss at each step.
SMOOTHING = 0.9
OVERFIT_STEPS = 200
# Number of steps over which the fall of the loss is measured: a sixth of all.
FALL_STEPS = 16
# One batch is learned when its loss is this share of the first.
LEARNED_SHARE = 0.1


@dataclass(frozen=True)
class LearningRates:
    """Result of a learning-rate range test (Smith 2017, arXiv:1506.01186).

    Attributes:
      rates: learning rates tried, in rising order.
      losses: running mean of the training loss at each rate.
      suggestion: learning rate at which the loss fell fastest.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float


@dataclass(frozen=True)
class Overfit:
    """Result of the one-batch overfit test.

    Attributes:
      losses: training loss of each step.
      learned: whether the last loss is at most a tenth of the first.
    """

    losses: list[float]
    learned: bool


def find_learning_rate(config: Config, input: str | os.PathLike[str], output: str | os.PathLike[str]) -> LearningRates:
    """Trains 100 steps with a learning rate that rises from 1e-6 to 10; writes find_lr.json and find_lr.png.

    Args:
      config: config of the planned run; its learning rate and schedule are ignored.
      input: raw zip, folder or built data set, as in `train`.
      output: folder of the planned run.

    Raises:
      UserError: under the same conditions as `train`.
    """
    growth = (HIGHEST_RATE / LOWEST_RATE) ** (1 / (FINDING_STEPS - 1))

    def schedule(step_number: Any) -> Any:
        return LOWEST_RATE * growth**step_number

    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    with _training(config, input, output, schedule) as (batches, train_on):
        for number, batch in enumerate(progress(itertools.islice(batches, FINDING_STEPS), FINDING_STEPS, "rates")):
            loss = train_on(batch)
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            rates.append(LOWEST_RATE * growth**number)
            losses.append(mean / (1 - SMOOTHING ** (number + 1)))
            if not math.isfinite(loss) or losses[-1] > DIVERGED * min(losses):
                break
    finite = [value for value in losses if math.isfinite(value)]
    rates, losses = rates[: len(finite)], finite
    # Over the logarithm of the rate, whose steps are equal, and several of them: single batches differ too much.
    fall = np.subtract(losses[FALL_STEPS:], losses[:-FALL_STEPS])
    steepest = int(np.argmin(fall)) + FALL_STEPS // 2 if len(fall) else 0
    found = LearningRates(rates, losses, rates[steepest])
    _write(output, "find_lr", dataclasses.asdict(found))
    _plot(output, "find_lr", rates, losses, "learning rate", marked=found.suggestion, logarithmic=True)
    return found


def overfit_one_batch(config: Config, input: str | os.PathLike[str], output: str | os.PathLike[str]) -> Overfit:
    """Trains on the first batch alone until it is learned, 200 steps at most; writes sanity.json and sanity.png.

    Augmentation, dropout, weight decay, label smoothing and the schedule are switched off: a setup that cannot overfit
    one batch cannot learn at all.

    Args:
      config: config of the planned run.
      input: raw zip, folder or built data set, as in `train`.
      output: folder of the planned run.

    Raises:
      UserError: under the same conditions as `train`.
    """
    plain = AugmentConfig(
        crop_min_area=1.0, crop_max_aspect=1.0, flip=False, brightness=0.0, contrast=0.0, saturation=0.0
    )
    calm = dataclasses.replace(
        config.optim, weight_decay=0.0, label_smoothing=0.0, class_balance=0.0, schedule="constant", warmup_epochs=0.0
    )
    config = config.replace(augment=plain, optim=calm, model=dataclasses.replace(config.model, dropout=0.0))
    losses: list[float] = []
    with _training(config, input, output, None) as (batches, train_on):
        batch = next(batches)
        for _ in progress(range(OVERFIT_STEPS), OVERFIT_STEPS, "one batch"):
            losses.append(train_on(batch))
            if not math.isfinite(losses[-1]) or losses[-1] <= LEARNED_SHARE * losses[0]:
                break
    found = Overfit(losses, losses[-1] <= LEARNED_SHARE * losses[0])
    _write(output, "sanity", dataclasses.asdict(found))
    _plot(output, "sanity", range(1, len(losses) + 1), losses, "step")
    return found


def replay(config: Config, output: str | os.PathLike[str]) -> str:
    """Repeats the newest non-finite step of a run from the last checkpoint before it; returns a description.

    Args:
      config: config of the run, or a changed one.
      output: folder of the run.

    Raises:
      UserError: the folder holds no run, or the run has no non-finite step.
    """
    run = runs.read(output)
    kept = nonfinite.steps_kept(run.folder)
    if not kept:
        raise UserError(f"{run.folder} has no broken step to replay")
    broken_step = kept[-1]
    with open_session(config, run.dataset, output) as session, contextlib.ExitStack() as stack:
        checkpointer = stack.enter_context(contextlib.closing(Checkpointer(run.checkpoints, read_only=True)))
        start = max((number for number in checkpointer.steps() if number < broken_step), default=0)
        setup, data, config = session.setup, session.data, session.config
        if start:
            state, _ = state_lib.restore_state(checkpointer, start, setup.abstract_state, data)
        else:
            state = session.initial_state()
        batches = stack.enter_context(session.batches(start))
        steps_before = broken_step - 1 - start
        for _ in progress(range(steps_before), steps_before, "steps before it"):
            state, _ = jax.block_until_ready(setup.train_step(state, next(batches)))
        batch = next(batches)
        keys = step.photo_keys(config.seed, (broken_step - 1) // data.steps_per_epoch, batch["index"])
        where = nonfinite.first_broken(setup.model.apply, state.variables, batch, keys, config)
        _, metrics = setup.train_step(state, batch)
    numbers = ", ".join(f"{name} {float(value):.6g}" for name, value in metrics.items())
    place = f"not finite first in {where}" if where else "finite in the forward pass: its gradient breaks it"
    return f"step {broken_step}, from the checkpoint of step {start}: {numbers}; {place}"


@contextlib.contextmanager
def _training(
    config: Config, input: str | os.PathLike[str], output: str | os.PathLike[str], schedule: optax.Schedule | None
) -> Iterator[tuple[Iterator[Batch], Callable[[Batch], float]]]:
    """Yields batches on the devices, and a function that trains on one and returns its loss."""
    with open_session(config, input, output, schedule=schedule) as session, session.batches() as batches:
        state = session.initial_state()

        def train_on(batch: Batch) -> float:
            nonlocal state
            state, metrics = session.setup.train_step(state, batch)
            return float(metrics["loss"])

        yield batches, train_on


def _write(output: str | os.PathLike[str], name: str, found: dict[str, Any]) -> None:
    files.write_text(_file(output, f"{name}.json"), json.dumps(found))


def _file(output: str | os.PathLike[str], name: str) -> epath.Path:
    assert name in runs.CHECK_FILES
    return paths.path(output) / name


def _plot(
    output: str | os.PathLike[str],
    name: str,
    x: Sequence[float],
    losses: Sequence[float],
    label: str,
    marked: float | None = None,
    logarithmic: bool = False,
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(x, losses, color="#b3541e", linewidth=2)
    if marked is not None:
        axes.axvline(marked, color="#555555", linestyle="--", linewidth=1)
        axes.annotate(
            f"{marked:.2g}",
            (marked, 0.03),
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
        )
    axes.set(xlabel=label, ylabel="training loss", xscale="log" if logarithmic else "linear")
    # 0.001 in place of a power of ten, which would need the fonts of formulas.
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    # Where training diverges the loss has no useful scale: show the range below that.
    axes.set_ylim(0, 1.5 * max(losses[: 1 + int(np.argmin(losses))]))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    with files.writing(_file(output, f"{name}.png")) as file:
        figure.savefig(file, format="png", dpi=120)
