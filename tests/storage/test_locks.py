"""One writer: locks between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.storage import locks

HOLD = """
import sys
from butterflyer_jax.storage import locks
with locks.hold(sys.argv[1], "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_or_waits(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "new" / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdin and holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match=r"^another is there$"), locks.hold(lock, "another is there"):
        pass
    holder.kill()
    holder.wait()
    with locks.hold(lock, "waiting", wait=True):
        pass
    assert "waiting" not in capfd.readouterr().err, "a process that died holds nothing"
