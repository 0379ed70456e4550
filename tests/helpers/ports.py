"""Ports of this machine for servers that cannot choose one themselves.

A process keeps the ports that it was given until it ends: no other that asks here is given one of them, also between
the end of one server and the start of the next.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import socket
import tempfile
from pathlib import Path
from typing import BinaryIO

# Below those that a system hands out to connections and to servers that ask for any: none of the many that other tests
# open meanwhile takes one.
FIRST, LAST = 10_000, 32_000


# Processes begin in different places, and none gets the same port twice.
_numbers = itertools.count(37 * os.getpid())


def free_port() -> int:
    """Returns a port that nothing listens on."""
    while True:
        port = FIRST + next(_numbers) % (LAST - FIRST)
        if not _lock(port):
            continue
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _lock(port: int) -> bool:
    """Returns whether this process alone holds a port, from now on."""
    try:
        # A byte of the file for each port; the system frees those of a process that ends.
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@functools.cache
def _locks() -> BinaryIO:
    # Never closed: that would free all.
    return (Path(tempfile.gettempdir()) / f"butterflyer-ports-{os.getuid()}").open("ab")
