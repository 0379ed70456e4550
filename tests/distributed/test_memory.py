"""Working memory on a CPU: kept from step to step where the C library is glibc, left alone elsewhere."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from butterflyer_jax.distributed import memory

# A product of 64 MiB, 16,384 pages, that lives within the program.
FAULTS = """
import resource
from butterflyer_jax.distributed import memory
memory.run_in_caller()
import jax, jax.numpy as jnp
columns = jnp.ones((4096, 8))
program = jax.jit(lambda x: (x @ x.T) @ x).lower(columns).compile()
size = program.memory_analysis().temp_size_in_bytes
assert size >= 64 << 20, size
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(program(columns))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
before = faults()
memory.keep_blocks(size)
faults()
print(before, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_a_step_takes_the_block_of_the_step_before() -> None:
    # The kernel places the heap at random, now and then where it cannot grow: seen once.
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
        before, kept = map(int, done.stdout.split())
        if kept < 1000:
            break
    assert kept < 1000 < 10_000 < before


# Six arrays of 8 MiB, 12,288 pages.
FAULTS_OF_A_THREAD = """
import resource, threading
import numpy as np
from butterflyer_jax.distributed import memory
found = []
def work():
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        arrays = [np.ones(1 << 20) for _ in range(6)]
        del arrays
        found.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
for prepare in (lambda: None, memory.keep_all):
    prepare()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(found[3], found[7])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_a_thread_takes_the_blocks_that_it_freed() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS_OF_A_THREAD], capture_output=True, text=True, check=True)
    before, kept = map(int, done.stdout.split())
    assert before > 1000 and 4 * kept < before


# A block of 80 MiB, 20,480 pages: more than the heap of another thread holds. NumPy would ask for large pages.
FAULTS_OF_A_LARGE_BLOCK = """
import resource, sys, threading
from butterflyer_jax.distributed import memory
memory.keep_blocks(100 << 20)
if sys.argv[1] == "shared":
    memory.share_heap()
found = []
def work():
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        b"x" * (80 << 20)
        found.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(found[2])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_a_thread_keeps_large_blocks_in_the_shared_heap() -> None:
    before, kept = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS_OF_A_LARGE_BLOCK, heap], text=True))
        for heap in ("its own", "shared")
    )
    assert kept < 1000 < 10_000 < before


@pytest.mark.parametrize("library", [OSError("no such file"), object()], ids=["no glibc", "another library"])
def test_other_libraries_are_left_alone(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if isinstance(library, Exception):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    memory.keep_blocks(100 << 20)
    memory.keep_all()
    memory.share_heap()


@pytest.mark.parametrize("size", [memory.KEPT_ANYWAY, 1 << 30])
def test_sizes_that_glibc_keeps_anyway_or_cannot_are_left_alone(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("the allocator's settings were touched"))
    memory.keep_blocks(size)
