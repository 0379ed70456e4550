"""The training loop: evaluate, save, take a batch, step, log."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

import jax

from butterflyer_jax.console import TrainingDisplay
from butterflyer_jax.distributed import sharding
from butterflyer_jax.evaluation.eval_step import evaluate_batches
from butterflyer_jax.tracking import Tracker
from butterflyer_jax.training import nonfinite
from butterflyer_jax.training.duration import DurationCheck
from butterflyer_jax.training.preemption import Preemption
from butterflyer_jax.training.session import RunSession
from butterflyer_jax.training.state import TrainState, checkpoint_trees, with_rate_scale
from butterflyer_jax.training.step_logger import StepLog
from butterflyer_jax.training.validation_images import NO_GALLERY, Gallery

# Metrics of an evaluation by which the best checkpoint can be chosen.
SCORES = ("top1", "top5", "balanced_accuracy", "loss")


@dataclass(frozen=True)
class FitResult:
    """Result of a training.

    Attributes:
      state: state after the last step.
      images_per_second: speed of training without evaluation and saving; 0 if no step was left.
      steps: steps done so far, earlier sessions of the run included.
      stopped: why the training ended before its last step; None if it did not.
    """

    state: TrainState
    images_per_second: float
    steps: int
    stopped: str | None = None


def fit(
    session: RunSession,
    tracker: Tracker,
    display: TrainingDisplay,
    preemption: Preemption,
    gallery: Gallery = NO_GALLERY,
) -> FitResult:
    """Trains from the session's start step to the end of the last epoch, or until there is a reason to stop.

    The order of an iteration is a contract: evaluate the old state, save it, take the batch, step, log the previous
    step's metrics. So a checkpoint is whole before the steps that follow it, holds its evaluation, and is the state
    that an uninterrupted run has at that step; and logging never waits for the step just started.

    Args:
      session: run to train, with its state, compiled steps and data.
      tracker: receives the metrics.
      display: shows the steps on the console.
      preemption: reports signals and time limits that end the run early.
      gallery: sends validation images to the trackers.

    Raises:
      UserError: the loss is no longer finite, or a checkpoint cannot be written.
    """
    config, data, mesh = session.config, session.data, session.mesh
    state, early_stopping = session.state, session.early_stopping
    start_step, total_steps = session.start_step, session.total_steps

    def learning_rate(step: int) -> float:
        return float(session.setup.schedule(step)) * early_stopping.rate_scale

    log = StepLog(data, total_steps, learning_rate, tracker, display, config, session.cost_at)
    profile, duration = session.profile_window(), DurationCheck(session)
    # Virtual CPU devices deadlock when steps are queued.
    step_by_step = sharding.on_cpu(mesh) and mesh.size > 1
    # The metrics of a step arrive when the next one has started: its batch is kept until then.
    recent: collections.deque[tuple[int, Mapping[str, jax.Array]]] = collections.deque(maxlen=2)
    with (
        session.batches(start_step, total_steps) as batches,
        nonfinite.keeping(session.run.folder, recent, data.steps_per_epoch),
    ):
        for step in range(start_step, total_steps + 1):
            has_to_stop = preemption.reason(step)
            # The first state needs neither: it is new, or was evaluated and saved by an earlier session.
            if step > start_step:
                state = _evaluate_and_save(session, state, step, bool(has_to_stop), log, tracker, display, gallery)
            stopped = has_to_stop or early_stopping.reason_to_stop(config)
            if step == total_steps or stopped:
                break

            profile.before_step(step, state)
            waiting_since = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - waiting_since
            if step == start_step:
                # The first batch waited for the data set to open.
                log.forget_time()
                waited = 0.0

            recent.append((step + 1, batch))
            duration.before_step(step, state)
            state, metrics = session.step_at(step)(state, batch)
            duration.after_step(step, state)
            log.add(step + 1, metrics, waited)
            if step_by_step:
                jax.block_until_ready(state)
                log.log_pending()

    profile.close(state)
    session.checkpointer.wait()
    unfinished = stopped if step < total_steps else None
    return FitResult(state, log.overall_images_per_second(), step, unfinished)


def _evaluate_and_save(
    session: RunSession,
    state: TrainState,
    step: int,
    has_to_stop: bool,
    log: StepLog,
    tracker: Tracker,
    display: TrainingDisplay,
    gallery: Gallery,
) -> TrainState:
    """Evaluates and saves the state after `step` steps, each if it is due; returns the state to train on.

    Args:
      session, tracker, display, gallery: the same as in `fit`.
      state: state to evaluate and save; the evaluation may lower its learning rate.
      step: number of steps done.
      has_to_stop: whether the run ends here early, and so has to save.
      log: logs the last step first, and does not count the time.
    """
    config, data = session.config, session.data
    epoch, within_epoch = divmod(step, data.steps_per_epoch)
    epoch_ends = not within_epoch
    checkpoint_due = epoch_ends and (step == session.total_steps or epoch % config.checkpoint.every_epochs == 0)
    save_due = config.checkpoint.every_steps and step % config.checkpoint.every_steps == 0
    if not (epoch_ends or save_due or has_to_stop):
        return state
    log.flush()
    evaluation = None
    if checkpoint_due and data.num_photos("val"):
        display.note("evaluating")
        evaluation = _evaluate(session, state, step, tracker, gallery)
        session.early_stopping.add(evaluation, config)
        state = with_rate_scale(state, session.early_stopping.rate_scale, session.mesh)
    if epoch_ends:
        log.end_epoch(step, evaluation)
    if checkpoint_due or save_due or has_to_stop:
        _save(session, state, step, evaluation)
    log.restart_clock()
    return state


def _evaluate(
    session: RunSession, state: TrainState, step: int, tracker: Tracker, gallery: Gallery
) -> dict[str, float]:
    """Evaluates the state after `step` steps on val; returns its metrics, which the tracker and the gallery receive."""
    data = session.data
    with contextlib.closing(data.eval_batches("val")) as batches:
        sums = evaluate_batches(session.setup.eval_step, state.evaluated, gallery.watch(batches), session.mesh)
    evaluation = sums.compute()
    tracker.log({"step": step, "epoch": step / data.steps_per_epoch, "split": "val", **evaluation})
    gallery.show(step, step // data.steps_per_epoch, state.evaluated, sums.confusion)
    return evaluation


def _save(session: RunSession, state: TrainState, step: int, evaluation: dict[str, float] | None) -> None:
    """Saves the state after `step` steps, with its position in the data and the scores of its evaluation, if any."""
    position = session.data.position(step).to_json() | {"progress": session.early_stopping.to_json()}
    scores = evaluation and {name: value for name, value in evaluation.items() if name in SCORES}
    session.checkpointer.save(step, checkpoint_trees(state), position, scores)
