"""The processor cores that this process may use."""

from __future__ import annotations

import os


def usable() -> int:
    """Returns the number of cores; a batch system may leave a process fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
