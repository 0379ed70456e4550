"""A run that has to end early: signals and time limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from butterflyer_jax.training import preemption as preemption_lib
from butterflyer_jax.training.preemption import Preemption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU])
def test_a_signal_is_noticed_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Preemption() as preemption:
        assert preemption.reason(1) is None
        os.kill(os.getpid(), number)
        # Another thread may get the signal: the handler then runs a moment later.
        deadline = time.monotonic() + 10
        while preemption.reason(2) is None and time.monotonic() < deadline:
            pass
        assert preemption.reason(2) == number.name
    assert signal.getsignal(number) is before
    assert preemption_lib.EXIT_CODES[number.name] == 128 + number


def test_a_second_interrupt_ends_the_process_at_once() -> None:
    code = (
        "import os, signal, time\n"
        "from butterflyer_jax.training.preemption import Preemption\n"
        "with Preemption():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 130
    assert done.stderr == "finishing the step and saving; press Ctrl-C again to stop now\n"


def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Preemption() as preemption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert preemption.reason(1) is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(preemption_lib.time, "monotonic", lambda: now[0])
    preemption = Preemption(max_minutes=2)
    now[0] = 119.0
    assert preemption.reason(1) is None
    now[0] = 121.0
    assert preemption.reason(2) == preemption_lib.TIME_IS_OVER


def test_other_threads_leave_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def use() -> None:
        with Preemption() as preemption:
            assert preemption.reason(1) is None

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
