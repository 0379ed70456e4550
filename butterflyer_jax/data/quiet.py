"""What native libraries say as they are imported."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

STDERR = 2


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Discards what is written to stderr in the block, by native code too.

    TensorFlow greets with two lines about oneDNN whatever its log level. Switching oneDNN off would silence them, but
    its memory allocator goes with it, and JPEGs are then decoded at two thirds of the speed.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)
