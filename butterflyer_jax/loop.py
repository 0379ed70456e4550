"""fit(): the one ordered loop."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from butterflyer_jax import sharding
from butterflyer_jax.checkpoint import Checkpointer
from butterflyer_jax.config import Config
from butterflyer_jax.console import TrainingDisplay
from butterflyer_jax.evaluate import evaluate_batches
from butterflyer_jax.gallery import NO_GALLERY, Gallery
from butterflyer_jax.step import EvalStep, TrainState, TrainStep
from butterflyer_jax.step_log import StepLog
from butterflyer_jax.tracking import Tracker


class Position(Protocol):
    """A place in the data that a checkpoint can hold."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON."""

    def check(self, saved: dict[str, Any]) -> None:
        """Raises a UserError where `saved` is another place."""


class Data(Protocol):
    """What the loop asks of a data set; `data.pipeline.RecordData` and `data.fake.FakeData` are such."""

    species: tuple[str, ...]
    steps_per_epoch: int
    fingerprint: str

    def num_photos(self, split: str) -> int:
        """Returns the photographs in a split."""

    def position(self, step: int) -> Position:
        """Returns the place in the data after `step` steps."""

    def train_batches(self, start_step: int) -> Generator[Mapping[str, np.ndarray], None, None]:
        """Yields training batches without end."""

    def eval_batches(self, split: str) -> Generator[Mapping[str, np.ndarray], None, None]:
        """Yields each photograph of a split once, padded and masked."""

    def bottleneck(self) -> str:
        """Returns which stage of the input took the most time since this was last asked, and what to change."""


@dataclass(frozen=True)
class FitResult:
    """How a run went.

    Attributes:
      state: after the last step.
      images_per_second: training alone, without evaluation and saving; 0 where no step was left to do.
    """

    state: TrainState
    images_per_second: float


def fit(
    state: TrainState,
    data: Data,
    train_step: TrainStep,
    eval_step: EvalStep,
    schedule: Callable[[int], Any],
    checkpointer: Checkpointer,
    tracker: Tracker,
    display: TrainingDisplay,
    config: Config,
    mesh: Mesh,
    gallery: Gallery = NO_GALLERY,
) -> FitResult:
    """Trains from `state.step` to the end of the last epoch.

    The order of an iteration is a contract: evaluate the old state, save it, take the batch, step, log the previous
    step's metrics. So a checkpoint is whole before the steps that follow it, holds its evaluation, and is the state
    that a run which was never killed has at that step; and logging never waits for the step just started.

    Raises:
      UserError: the loss is no longer finite, or a checkpoint cannot be written.
    """
    start_step = int(state.step)
    total_steps = config.num_epochs * data.steps_per_epoch
    log = StepLog(data, total_steps, schedule, tracker, display, config)
    # Virtual CPU devices deadlock when steps are queued.
    step_by_step = sharding.on_cpu(mesh) and mesh.size > 1
    with contextlib.closing(data.train_batches(start_step)) as on_host:
        batches = sharding.prefetch(itertools.islice(on_host, total_steps - start_step), mesh)
        for step in range(start_step, total_steps + 1):
            epoch_ends = step % data.steps_per_epoch == 0
            save_due = epoch_ends or (config.checkpoint.every_steps and step % config.checkpoint.every_steps == 0)
            # The state that a run starts from needs neither: it is new, or was evaluated and saved by the run before.
            if step > start_step and save_due:
                log.flush()
                evaluation = None
                if epoch_ends and data.num_photos("val"):
                    display.note("evaluating")
                    with contextlib.closing(data.eval_batches("val")) as val_batches:
                        sums = evaluate_batches(eval_step, state.variables, gallery.watch(val_batches), mesh)
                    evaluation = sums.compute()
                    tracker.log({"step": step, "epoch": step / data.steps_per_epoch, "split": "val", **evaluation})
                    gallery.show(step, step // data.steps_per_epoch, state.variables, sums.confusion)
                if epoch_ends:
                    log.end_epoch(step, evaluation)
                scores = evaluation and {name: evaluation[name] for name in ("top1", "loss")}
                checkpointer.save(step, checkpoint_trees(state), data.position(step).to_json(), scores)
                log.restart_clock()
            if step == total_steps:
                break

            waiting_since = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - waiting_since

            state, metrics = train_step(state, batch)
            log.add(step + 1, metrics, waited)
            if step_by_step:
                jax.block_until_ready(state)
                log.log_pending()
            if step == start_step:
                # That call compiled, and that batch waited for the data set to open.
                log.forget_time()

    checkpointer.wait()
    return FitResult(state, log.overall_images_per_second())


def checkpoint_trees(state: TrainState) -> dict[str, Any]:
    """Returns the state in the parts that a checkpoint holds: evaluation restores `variables` alone."""
    return {"variables": state.variables, "optimizer": {"step": state.step, "opt_state": state.opt_state}}


def restore_state(checkpointer: Checkpointer, step: int, abstract_state: TrainState, data: Data) -> TrainState:
    """Returns the state saved at `step`.

    Raises:
      UserError: it does not fit the network, or the data cannot be taken up where the run left it.
    """
    data.position(step).check(checkpointer.restore_position(step))
    trees = checkpointer.restore(step, checkpoint_trees(abstract_state))
    return TrainState(trees["optimizer"]["step"], trees["variables"], trees["optimizer"]["opt_state"])
