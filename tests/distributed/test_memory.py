"""Freed memory stays with the process on glibc, and other C libraries are left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from butterflyer_jax.distributed import memory

# A block like XLA's temporary one, allocated and freed 20 times: how many page faults are counted.
COUNT_FAULTS = """
import resource, sys
from butterflyer_jax.distributed import memory
if sys.argv[1] == "kept":
    assert memory.keep_freed_memory()
def fill():
    block = bytearray(100 << 20)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory.__wrapped__() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults of glibc")
def test_a_freed_block_costs_no_page_faults_again() -> None:
    faults = {}
    for name in ("kept", "default"):
        done = subprocess.run([sys.executable, "-c", COUNT_FAULTS, name], capture_output=True, text=True, check=True)
        faults[name] = int(done.stdout)
    # bytearray clears its block by calloc: kept memory is cleared in place, page faults or not.
    assert faults["kept"] < faults["default"] / 10
