"""The lock of a run folder: one training writes to it, of however many processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import locks, paths


@contextlib.contextmanager
def sole_writer(output: str | os.PathLike[str]) -> Iterator[Callable[[], None]]:
    """Holds the lock of a run folder in the main process, for which the others wait; yields what checks it.

    Raises:
      UserError: another training holds it; in all processes.
    """
    busy = f"another training is writing to {os.fspath(output)}: wait until it has ended, or take another --output"
    waiting, held, refused = range(3)

    def share(state: int) -> int:
        return int(multihost_utils.broadcast_one_to_all(np.int32(state)))

    if jax.process_index():
        # Again and again, as a collective operation that waits for minutes is taken for a broken one.
        while (state := share(waiting)) == waiting:
            pass
        if state == refused:
            raise UserError(busy)
        yield lambda: None
        return
    with contextlib.ExitStack() as stack:
        try:
            lock = locks.hold(paths.path(output) / ".lock", busy, meanwhile=lambda: share(waiting))
            check = stack.enter_context(lock)
        except BaseException:
            share(refused)
            raise
        share(held)
        yield check
