"""Settings of the C library's memory allocator that suit XLA on a CPU."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os

# Parameters of glibc's `mallopt` (malloc.h), and what they are set to.
MALLOPT = {
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, 1 << 30),
    "M_ARENA_MAX": (-8, 1),
}


@functools.cache
def keep_freed_memory() -> bool:
    """Makes glibc keep up to 1 GiB of freed memory where JAX runs on the CPU; returns whether it does.

    XLA's CPU backend allocates the temporary memory of a program, 70 to 300 MiB for a train step, in one block for each
    call. glibc takes a block of that size from the system and gives it back after the step, and the system clears its
    pages again, one page fault each: a fifth of a step's time. So blocks come from the heap (no `mmap`), the heap is
    not trimmed, and threads share one arena, as others cannot hold such blocks.

    Call it before JAX starts its threads, when it is first asked for devices: later it has no effect on them.
    """
    if _has_accelerator():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        # Another C library (macOS, musl): its own way of keeping memory.
        return False
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) for name, value in MALLOPT.values())


def _has_accelerator() -> bool:
    """Returns whether JAX may run on an accelerator, without starting it."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return False
    # Namespace package of the CUDA, ROCm and Metal plugins; the TPU's library.
    return any(importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))
