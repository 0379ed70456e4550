"""What the commands share."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A command that says when it is at work, and leaves a mark when it cleans up.
COMMAND = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from butterflyer_jax import cli
def main(argv):
    try:
        print("begun", flush=True)
        {work}
    finally:
        print("cleaned up", flush=True)
cli.GRACE_SECONDS = 0.5
cli.run(main)
"""
# Native code that lets other threads run, but no handler of Python.
NATIVE = "import ctypes; ctypes.CDLL(None).usleep(50_000_000)"


def stopped(work: str, number: signal.Signals) -> tuple[int, str, str]:
    code = COMMAND.format(work=work)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=40)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cleans_up_and_ends_with_its_code(number: signal.Signals) -> None:
    assert stopped("time.sleep(50)", number) == (128 + number, "cleaned up\n", f"stopped by {number.name}\n")


def test_native_code_does_not_hold_up_the_end() -> None:
    # usleep itself returns on a signal: a loop of it stands for a compilation.
    code, _, _ = stopped(f"{NATIVE}; time.sleep(0)", signal.SIGTERM)
    assert code == 143
