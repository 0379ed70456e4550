"""Logging of train steps: metrics, speed, data wait and memory, one step behind the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import psutil
from jaxtyping import Float32

from butterflyer_jax.config import Config
from butterflyer_jax.console import TrainingDisplay
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.tracking import Tracker
from butterflyer_jax.training.nonfinite import BrokenStep
from butterflyer_jax.training.profiling import Cost

# Share of the time that training may wait for data before the reason is logged, and the interval of checks, seconds.
ADVICE_WAIT = 0.1
ADVICE_SECONDS = 10.0


def host_memory_mib() -> int:
    """Returns the resident memory of this process, MiB."""
    return int(psutil.Process().memory_info().rss >> 20)


class StepLog:
    """Logger of step metrics, one step behind the device, with the clock for speed and data wait."""

    def __init__(
        self,
        data: Data,
        total_steps: int,
        schedule: Callable[[int], Any],
        tracker: Tracker,
        display: TrainingDisplay,
        config: Config,
        cost_at: Callable[[int], Cost],
    ) -> None:
        self._cost_at = cost_at
        self._data, self._total_steps = data, total_steps
        self._schedule, self._tracker, self._display, self._config = schedule, tracker, display, config
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._epoch: list[tuple[float, float]] = []
        self._advice = ""
        self.forget_time()

    def forget_time(self) -> None:
        """Restarts the counts of steps and seconds."""
        self._steps_done, self._seconds, self._waited_in_all = 0, 0.0, 0.0
        self._epoch_start = self._advised_at = (0, 0.0, 0.0)
        self._data.bottleneck()
        self.restart_clock()

    def restart_clock(self) -> None:
        """Starts a new window for images_per_second and data_wait; the time since the last one is dropped."""
        self._window_start, self._window_steps, self._window_wait = time.perf_counter(), 0, 0.0

    def add(self, step: int, metrics: dict[str, Float32[jax.Array, ""]], waited: float) -> None:
        """Keeps the metrics of a step just started, and logs those of the previous step.

        Args:
          step: number of the step, from 1.
          metrics: float32 [] by name, still on the device.
          waited: time that the step waited for its batch, seconds.
        """
        self._window_wait += waited
        self.log_pending()
        self._pending = (step, metrics)

    def flush(self) -> None:
        """Logs the metrics of the last step, and closes the window before other work takes time."""
        self.log_pending()
        self._close_window()

    def log_pending(self) -> None:
        """Waits for the last step that was added, and logs its metrics.

        Raises:
          BrokenStep: the loss or the gradient is not finite.
        """
        if self._pending is None:
            return
        step, on_device = self._pending
        self._pending = None
        metrics = {name: float(value) for name, value in jax.device_get(on_device).items()}
        self._window_steps += 1
        self._epoch.append((metrics["loss"], metrics["top1"]))
        if not all(math.isfinite(metrics[name]) for name in ("loss", "gradient_norm")):
            raise BrokenStep(step, metrics)
        if step % self._config.log_every_steps and step != self._total_steps:
            return
        step_seconds, data_wait = self._close_window()
        images_per_second = self._config.batch_size / step_seconds
        record = {
            "step": step,
            "epoch": step / self._data.steps_per_epoch,
            "split": "train",
            **metrics,
            "learning_rate": float(self._schedule(step - 1)),
            "step_ms": round(1000 * step_seconds, 3),
            "images_per_second": round(images_per_second, 2),
            **self._cost_at(step - 1).figures(images_per_second),
            "data_wait": round(data_wait, 4),
            "host_memory_mib": host_memory_mib(),
        }
        self._tracker.log(record)
        self._advise()
        self._display.step(record)

    def _close_window(self) -> tuple[float, float]:
        """Returns the seconds per step, and the share of them spent waiting for data."""
        seconds = time.perf_counter() - self._window_start
        step_seconds = seconds / max(self._window_steps, 1)
        data_wait = self._window_wait / seconds
        self._steps_done += self._window_steps
        self._seconds += seconds
        self._waited_in_all += self._window_wait
        self.restart_clock()
        return step_seconds, data_wait

    def _advise(self) -> None:
        """Logs what limits the input pipeline if training waited for it; repeats nothing."""
        _, seconds, waited = (now - then for now, then in zip(self._totals(), self._advised_at, strict=True))
        if seconds < ADVICE_SECONDS:
            return
        self._advised_at = self._totals()
        advice = self._data.bottleneck()
        if waited > ADVICE_WAIT * seconds and advice and advice != self._advice:
            self._display.line(f"waiting for data {waited / seconds:.0%} of the time, most of it {advice}")
            self._advice = advice

    def _totals(self) -> tuple[int, float, float]:
        return self._steps_done, self._seconds, self._waited_in_all

    def end_epoch(self, step: int, evaluation: dict[str, Any] | None) -> None:
        """Prints the summary line of an epoch."""
        loss, top1 = np.mean(self._epoch, axis=0)
        steps, seconds, waited = (now - then for now, then in zip(self._totals(), self._epoch_start, strict=True))
        images = steps * self._config.batch_size
        line = f"epoch {step // self._data.steps_per_epoch}/{self._config.num_epochs}  loss {loss:.3f}  top1 {top1:.1%}"
        if evaluation:
            line += f"  val loss {evaluation['loss']:.3f}  val top1 {evaluation['top1']:.1%}"
        self._display.line(
            f"{line}  {images / seconds:,.0f} images/s  waiting for data {waited / seconds:.0%}"
            f"  memory {host_memory_mib():,} MiB",
            cut=True,
        )
        self._epoch = []
        self._epoch_start = self._totals()

    def overall_images_per_second(self) -> float:
        """Returns the images per second over all steps of this process."""
        return self._steps_done * self._config.batch_size / self._seconds if self._steps_done else 0.0
