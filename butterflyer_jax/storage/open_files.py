"""File locks and reads at an offset, on POSIX and Windows alike.

A lock belongs to an open file; the operating system releases it when the process dies for any reason.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Protocol

# Windows has no close-on-exec flag: there a handle is not inherited.
CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)

_seek_lock = threading.Lock()


class HasDescriptor(Protocol):
    """An open file with a descriptor."""

    def fileno(self) -> int:
        """Returns the file descriptor."""


def lock(file: int | HasDescriptor) -> None:
    """Acquires the exclusive lock of an open file; waits while another process or open file holds it."""
    _lock(_descriptor(file), wait=True)


def try_lock(file: int | HasDescriptor) -> bool:
    """Acquires the exclusive lock of an open file; returns False where another process or open file holds it."""
    try:
        _lock(_descriptor(file), wait=False)
    except OSError:
        return False
    return True


def read_at(file: int | HasDescriptor, num_bytes: int, offset: int) -> bytes:
    """Returns `num_bytes` of an open file from `offset` on, fewer at its end; thread-safe."""
    descriptor = _descriptor(file)
    if hasattr(os, "pread"):
        return os.pread(descriptor, num_bytes, offset)
    with _seek_lock:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, num_bytes)


def _descriptor(file: int | HasDescriptor) -> int:
    return file if isinstance(file, int) else file.fileno()


def _lock(descriptor: int, wait: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        # Windows locks byte ranges: the first byte stands for the file. A waiting lock gives up after ten seconds.
        while True:
            os.lseek(descriptor, 0, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                return
            except OSError:
                if not wait:
                    raise
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
