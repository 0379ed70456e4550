"""Preemption by a signal or a time limit: the run finishes its step and saves."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from butterflyer_jax.console import say

# Windows has but the first two. Batch systems announce the end of the time by the last two.
_NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGXCPU")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
TIME_IS_OVER = "its time is over"
# Interval at which the processes of a run share the reason, steps: each time costs a collective.
SHARING_STEPS = 10
# Exit codes of a stopped command: 128 plus the signal's number, as in shells; EX_TEMPFAIL of sysexits.h.
EXIT_CODES: dict[str, int] = {number.name: 128 + number for number in SIGNALS} | {TIME_IS_OVER: 75}
REASONS: tuple[str | None, ...] = (None, *EXIT_CODES)


class Interrupted(KeyboardInterrupt):
    """Raised when Ctrl-C ended a training, after its state was saved.

    Attributes:
      run: value that `train` would have returned.
    """

    def __init__(self, run: Any) -> None:
        """Wraps the stopped run."""
        super().__init__(f"stopped at step {run.steps} and saved; train again to resume")
        self.run = run


class Preemption:
    """Watches for a reason to stop; a context manager, within which the signals only set a flag.

    A second SIGINT ends the process at once. The object itself is the handler; see `cli.run`.
    """

    def __init__(self, max_minutes: float = 0.0) -> None:
        """Starts the clock; `max_minutes` of 0 means no limit."""
        self._deadline = time.monotonic() + 60 * max_minutes if max_minutes else float("inf")
        self._reason: str | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._step: int | None = None
        self._has_said = threading.Lock()

    def __enter__(self) -> Preemption:
        # Python allows only the main thread to set handlers; in another thread a notebook's own stay.
        if threading.current_thread() is threading.main_thread():
            # A signal that the parent had ignored, as nohup does with SIGHUP, stays ignored.
            watched = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self) for number in watched}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Notes a signal."""
        name = signal.Signals(number).name
        if number == signal.SIGINT and self._reason == name:
            # Safe at any point: the checkpoints on the disk are whole.
            os._exit(EXIT_CODES[name])
        self._reason = name
        if number == signal.SIGINT:
            self.at_once()

    def at_once(self) -> None:
        """Says once that Ctrl-C was noticed; may be called from any thread, while a step still computes."""
        if self._has_said.acquire(blocking=False):
            step = "the step" if self._step is None else f"step {self._step + 1}"
            say(f"finishing {step} and saving; press Ctrl-C again to stop now")

    def reason(self, step: int) -> str | None:
        """Returns why the run has to stop after `step` steps, or None; the same in all its processes."""
        self._step = step
        if self._reason is None and time.monotonic() > self._deadline:
            self._reason = TIME_IS_OVER
        import jax

        if jax.process_count() == 1:
            return self._reason
        if step % SHARING_STEPS:
            return None
        import numpy as np
        from jax.experimental import multihost_utils

        shared = multihost_utils.process_allgather(np.int32(REASONS.index(self._reason)))
        return REASONS[int(shared.max())]
