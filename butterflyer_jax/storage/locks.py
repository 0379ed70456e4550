"""Locks between processes; the operating system releases one when its process dies, in whatever way."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from hashlib import sha256

import filelock

from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import paths
from butterflyer_jax.storage.errors import access

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def hold(name: str | os.PathLike[str], busy: str, wait: bool = False) -> Iterator[None]:
    """Holds a lock during the block.

    Args:
      name: the lock file. For one in a bucket a file in the cache stands, which processes of this machine alone see.
      busy: what to say where another process holds the lock.
      wait: whether to print `busy` and wait for that process.

    Raises:
      UserError: another process holds the lock, and `wait` is false; or the file cannot be written.
    """
    file = paths.path(name)
    if paths.is_remote(file):
        # An object with an owner would outlive a machine that is lost, and keep the run from resuming elsewhere.
        say(f"{file.parent}: a bucket has no locks, start nothing that writes there on another machine meanwhile")
        file = paths.cache_dir() / "locks" / f"{sha256(os.fspath(file).encode()).hexdigest()[:16]}.lock"
    lock = filelock.FileLock(os.fspath(file))
    with access(file.parent, "write"):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            if not wait:
                raise UserError(busy) from error
            say(busy)
            lock.acquire()
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
                raise
            say(f"{file.parent} lies on a file system without locks: start no second process that writes there")
    try:
        yield
    finally:
        # The file stays: without it, a process that waits for this one and a third could both hold a lock.
        lock.release()
