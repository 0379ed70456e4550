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


def test_a_lock_of_a_bucket_lies_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path))
    with locks.hold("gs://bucket/run/.lock", "busy"):
        assert [path.parent.name for path in tmp_path.rglob("*.lock")] == ["locks"]
        with pytest.raises(UserError, match="busy"), locks.hold("gs://bucket/run/.lock", "busy"):
            pass
    assert "gs://bucket/run: a bucket has no locks, start nothing that writes there" in capsys.readouterr().err
