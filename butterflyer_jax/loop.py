"""fit(): the one ordered loop."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from butterflyer_jax import sharding
from butterflyer_jax.checkpoint import Checkpointer
from butterflyer_jax.config import Config, UserError
from butterflyer_jax.console import TrainingDisplay
from butterflyer_jax.evaluate import evaluate_batches
from butterflyer_jax.step import EvalStep, TrainState, TrainStep
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

    def train_batches(self, start_step: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Yields training batches without end."""

    def eval_batches(self, split: str) -> Iterator[Mapping[str, np.ndarray]]:
        """Yields each photograph of a split once, padded and masked."""


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
    log = _StepLog(data.steps_per_epoch, total_steps, schedule, tracker, display, config)
    # Virtual CPU devices deadlock when steps are queued.
    step_by_step = sharding.on_cpu(mesh) and mesh.size > 1
    batches = sharding.prefetch(itertools.islice(data.train_batches(start_step), total_steps - start_step), mesh)

    for step in range(start_step, total_steps + 1):
        epoch_ends = step % data.steps_per_epoch == 0
        save_due = epoch_ends or (config.checkpoint.every_steps and step % config.checkpoint.every_steps == 0)
        # The state that a run starts from needs neither: it is new, or was evaluated and saved by the run before.
        if step > start_step and save_due:
            log.flush()
            evaluation = None
            if epoch_ends and data.num_photos("val"):
                evaluation = evaluate_batches(eval_step, state.variables, data.eval_batches("val"), mesh)
                tracker.log({"step": step, "epoch": step / data.steps_per_epoch, "split": "val", **evaluation})
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


class _StepLog:
    """Metrics of steps on their way from the device, one step behind, and the clock beside them."""

    def __init__(
        self,
        steps_per_epoch: int,
        total_steps: int,
        schedule: Callable[[int], Any],
        tracker: Tracker,
        display: TrainingDisplay,
        config: Config,
    ) -> None:
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._schedule, self._tracker, self._display, self._config = schedule, tracker, display, config
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._epoch: list[tuple[float, float]] = []
        self.forget_time()

    def forget_time(self) -> None:
        """Begins to count steps and seconds anew."""
        self._steps_done, self._seconds, self._waited_in_all = 0, 0.0, 0.0
        self._epoch_start = (0, 0.0, 0.0)
        self.restart_clock()

    def restart_clock(self) -> None:
        """Begins a new window for images_per_second and data_wait, without what was done since the last."""
        self._window_start, self._window_steps, self._window_wait = time.perf_counter(), 0, 0.0

    def add(self, step: int, metrics: dict[str, jax.Array], waited: float) -> None:
        """Takes the metrics of a step just started, and logs those of the step before, which is done by now or soon."""
        self._window_wait += waited
        self.log_pending()
        self._pending = (step, metrics)

    def flush(self) -> None:
        """Logs the metrics of the last step, and closes the window before something else takes time."""
        self.log_pending()
        self._close_window()

    def log_pending(self) -> None:
        """Logs the metrics of the last step that was added, waiting for it."""
        if self._pending is None:
            return
        step, on_device = self._pending
        self._pending = None
        metrics = {name: float(value) for name, value in jax.device_get(on_device).items()}
        self._window_steps += 1
        self._epoch.append((metrics["loss"], metrics["top1"]))
        broken = [name for name in ("loss", "gradient_norm") if not math.isfinite(metrics[name])]
        if broken:
            name = broken[0].replace("_", " ")
            raise UserError(
                f"the {name} is {metrics[broken[0]]} at step {step}: lower optim.learning_rate, lengthen "
                "optim.warmup_epochs, or set optim.gradient_clip_norm; the last checkpoint is from before that step"
            )
        if step % self._config.log_every_steps and step != self._total_steps:
            return
        images_per_second, data_wait = self._close_window()
        record = {
            "step": step,
            "epoch": step / self._steps_per_epoch,
            "split": "train",
            **metrics,
            "learning_rate": float(self._schedule(step - 1)),
            "images_per_second": round(images_per_second, 2),
            "data_wait": round(data_wait, 4),
        }
        self._tracker.log(record)
        self._display.step(
            step, f"loss {metrics['loss']:.3f}  top1 {metrics['top1']:.1%}  {images_per_second:,.0f} images/s"
        )

    def _close_window(self) -> tuple[float, float]:
        seconds = time.perf_counter() - self._window_start
        images_per_second = self._window_steps * self._config.batch_size / seconds
        data_wait = self._window_wait / seconds
        self._steps_done += self._window_steps
        self._seconds += seconds
        self._waited_in_all += self._window_wait
        self.restart_clock()
        return images_per_second, data_wait

    def end_epoch(self, step: int, evaluation: dict[str, Any] | None) -> None:
        """Shows the line of an epoch."""
        loss, top1 = np.mean(self._epoch, axis=0)
        steps, seconds, waited = self._epoch_start
        images = (self._steps_done - steps) * self._config.batch_size
        seconds, waited = self._seconds - seconds, self._waited_in_all - waited
        line = f"epoch {step // self._steps_per_epoch}/{self._config.num_epochs}  loss {loss:.3f}  top1 {top1:.1%}"
        if evaluation:
            line += f"  val loss {evaluation['loss']:.3f}  val top1 {evaluation['top1']:.1%}"
        self._display.line(f"{line}  {images / seconds:,.0f} images/s  waiting for data {waited / seconds:.0%}")
        self._epoch = []
        self._epoch_start = (self._steps_done, self._seconds, self._waited_in_all)

    def overall_images_per_second(self) -> float:
        """Returns the speed of training over all steps of this process."""
        return self._steps_done * self._config.batch_size / self._seconds if self._steps_done else 0.0
