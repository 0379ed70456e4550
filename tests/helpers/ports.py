"""Ports of this machine for servers that cannot choose one themselves."""

from __future__ import annotations

import itertools
import os
import socket

# Below those that a system hands out to connections and to servers that ask for any: none of the many that other tests
# open meanwhile takes one.
FIRST, LAST = 10_000, 32_000


# Processes begin in different places, and none gets the same port twice.
_numbers = itertools.count(37 * os.getpid())


def free_port() -> int:
    """Returns a port that nothing listens on."""
    while True:
        port = FIRST + next(_numbers) % (LAST - FIRST)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
