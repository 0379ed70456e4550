"""A run that has to end early: SIGTERM, SIGINT, a time limit. It finishes the step, saves, and says how to go on."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
TIME_IS_OVER = "its time is over"
# Processes of one run tell each other so often, steps: it costs an exchange.
SHARING_STEPS = 10
# What a command that was stopped so exits with: 128 and the signal's number as shells do, EX_TEMPFAIL of sysexits.h.
EXIT_CODES = {signal.SIGTERM.name: 143, signal.SIGINT.name: 130, TIME_IS_OVER: 75}
REASONS = (None, *EXIT_CODES)


class Preemption:
    """Watches for a reason to stop; a context manager, in which the signals only set a mark.

    A second SIGINT interrupts at once, as without this.
    """

    def __init__(self, max_minutes: float = 0.0) -> None:
        """Starts the clock; `max_minutes` of 0 is no limit."""
        self._deadline = time.monotonic() + 60 * max_minutes if max_minutes else float("inf")
        self._reason: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Preemption:
        # Python lets the main thread alone set handlers; in another a notebook's own stay.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._reason = signal.Signals(number).name
        if number == signal.SIGINT:
            with contextlib.suppress(KeyError):
                signal.signal(number, self._before.pop(signal.SIGINT))

    def reason(self, step: int) -> str | None:
        """Returns why the run has to stop after `step` steps, None while it need not; the same in all its processes."""
        if self._reason is None and time.monotonic() > self._deadline:
            self._reason = TIME_IS_OVER
        import jax

        if jax.process_count() == 1:
            return self._reason
        if step % SHARING_STEPS:
            return None
        import numpy as np
        from jax.experimental import multihost_utils

        told = multihost_utils.process_allgather(np.int32(REASONS.index(self._reason)))
        return REASONS[int(told.max())]
