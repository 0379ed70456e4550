"""Locks between processes: the operating system's on a disk, an expiring lock object in a bucket."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import filelock
from etils import epath

from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import paths
from butterflyer_jax.storage.bucket_lock import BucketLock
from butterflyer_jax.storage.errors import access

# Interval between two checks of a lock in a bucket, seconds.
POLL_SECONDS = 5.0
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def hold(
    name: str | os.PathLike[str], busy: str, wait: bool = False, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Holds a lock during the block; yields a check that raises a UserError once the lock is lost (only in a bucket).

    Args:
      name: the lock file. For a bucket, a file in the cache also excludes other processes of this machine.
      busy: message where another process holds the lock.
      wait: whether to print `busy` and wait for that process; only for a file on a disk.
      meanwhile: called regularly while waiting for a lock in a bucket to become stale.

    Raises:
      UserError: another process holds the lock, and `wait` is false; or the file cannot be written.
    """
    file = paths.path(name)
    if not paths.is_remote(file):
        with _hold_on_disk(file, busy, wait):
            yield lambda: None
        return
    local = paths.cache_dir() / "locks" / f"{sha256(os.fspath(file).encode()).hexdigest()[:16]}.lock"
    with _hold_on_disk(local, busy, wait) as is_held:
        lock = BucketLock(os.fspath(file), _identity(local) if is_held else "")
        if reason := lock.try_acquire(busy):
            say(reason)
            while reason:
                meanwhile()
                time.sleep(POLL_SECONDS)
                reason = lock.try_acquire(busy)
        try:
            yield lock.check
        finally:
            lock.release()


@contextlib.contextmanager
def _hold_on_disk(file: epath.Path, busy: str, wait: bool) -> Iterator[bool]:
    """Holds a lock file; yields false where the file system has no locks."""
    lock = filelock.FileLock(os.fspath(file))
    is_held = True
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
            is_held = False
            say(f"{file.parent} lies on a file system without locks: do not start a second process that writes there")
    try:
        yield is_held
    finally:
        # The file is not removed: otherwise a process waiting for this one and a third one could both hold a lock.
        lock.release()


def _identity(file: epath.Path) -> str:
    """Returns an identity of a lock file and this boot of the machine, unique among machines; "" where it is unknown.

    Two processes with the same identity exclude each other by that file.
    """
    try:
        found = Path(file).stat()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}.{found.st_dev}.{found.st_ino}"
    except OSError:
        return ""
