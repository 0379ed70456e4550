"""Staging of a data set's shards from a bucket to the local disk, in parallel with the training that reads them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import paths
from butterflyer_jax.storage.bounded import BoundedFolder
from butterflyer_jax.storage.copying import Copy
from butterflyer_jax.storage.remote_folder import RemoteFile, RemoteFolder

NUM_FETCHERS = 16
# Interval at which a copy that waits for room checks again, seconds: another process may have removed files.
ROOM_POLL_SECONDS = 1.0


@dataclass(eq=False)
class _File:
    """State of a file: complete (`is_whole`), being copied, failed, or none of these.

    `waiting` counts the threads that wait for it.
    """

    remote: RemoteFile
    local: Path
    is_whole: bool = False
    copy: Copy | None = None
    error: Exception | None = None
    waiting: int = 0

    def is_on_disk(self) -> bool:
        """Returns whether the complete file is there; its local name contains the version of its content."""
        try:
            return self.local.stat().st_size == self.remote.num_bytes
        except FileNotFoundError:
            return False


class Staging:
    """Files of a remote folder, copied to the local disk before they are needed and kept there for later runs.

    The copies of all data sets share one folder of bounded size: the least recently used are removed for new ones. What
    `open` returned stays readable. A context manager; all methods are thread-safe.
    """

    def __init__(
        self,
        remote: str | os.PathLike[str],
        names: Sequence[str],
        max_bytes: int,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """Lists the remote folder; starts no copy yet.

        Args:
          remote: address of the folder, such as gs://bucket/folder.
          names: names of the files that may be opened.
          max_bytes: bound on the copies of all data sets together.
          folder: local folder for the copies of all data sets; by default `staged` in the cache.

        Raises:
          UserError: the folder cannot be read, a file is missing or larger than `max_bytes`, or the local folder cannot
            be written.
        """
        if folder is None:
            folder = paths.cache_dir() / "staged"
        root = Path(folder).absolute()
        self._remote = RemoteFolder(os.fspath(remote))
        self._bounded = BoundedFolder(root, max_bytes)
        home = root / hashlib.sha256(self._remote.url.encode()).hexdigest()[:16]
        self._files = {
            name: _File(file, home / f"{name}.{file.version}") for name, file in self._remote.list(names).items()
        }
        largest = max((file.remote for file in self._files.values()), key=lambda file: file.num_bytes, default=None)
        if largest and largest.num_bytes > max_bytes:
            raise UserError(
                f"{self._remote.url}/{largest.name} takes {largest.num_bytes / 2**30:.2f} GiB, more than the "
                f"{max_bytes / 2**30:.2f} GiB for copies of remote files: set data.staging_gib higher"
            )
        self._bounded.trim()
        for file in self._files.values():
            file.is_whole = file.is_on_disk()
        # Guards the attributes below, and the files.
        self._changed = threading.Condition()
        # Names that were requested and not opened since, soonest needed first.
        self._queue: list[str] = []
        self._is_closed = False
        self._no_room_until = 0.0
        self._waited_seconds = 0.0
        # Daemon threads: they end with the main thread.
        self._fetchers = [
            threading.Thread(target=self._fetch, name=f"staging-{number}", daemon=True)
            for number in range(NUM_FETCHERS)
        ]
        for fetcher in self._fetchers:
            fetcher.start()

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waited_seconds(self) -> float:
        """Time that calls of `open` have waited, summed over all threads, seconds."""
        with self._changed:
            return self._waited_seconds

    @property
    def copied_bytes(self) -> int:
        """Amount copied over the network so far, bytes."""
        return self._remote.num_bytes_read

    def prefetch(self, names: Sequence[str]) -> None:
        """Starts copying files in the background, soonest needed first; files that are there already cost nothing.

        They come before the files of earlier calls. A requested file is not removed before it was opened, so where
        the bound is reached, copying continues only as files are opened.
        """
        with self._changed:
            for name in names:
                file = self._files[name]
                file.is_whole = not file.copy and file.is_on_disk()
            waited_for = [name for name in self._queue if self._files[name].waiting]
            self._queue = list(dict.fromkeys([*waited_for, *names, *self._queue]))
            self._look_again()

    def open(self, name: str) -> io.FileIO:
        """Returns a file open for reading once it is complete; it stays readable even if it is removed.

        A missing file is copied at once, before all files that no thread waits for; to make room, other requested files
        may be removed, those needed last first.

        Raises:
          UserError: the file cannot be copied; the message says why. Another call tries again.
        """
        with self._changed:
            file = self._files[name]
            file.waiting += 1
            try:
                opened = _open(file) if file.is_whole else None
                return self._wait_for(name, file) if opened is None else opened
            finally:
                file.waiting -= 1
                # The file may be removed from now on. Interrupted copies are resumed.
                if name in self._queue and not file.copy:
                    self._queue.remove(name)
                self._look_again()

    def close(self) -> None:
        """Stops all copying and removes partial files; returns when all threads have ended."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._remote.stop()
        for fetcher in self._fetchers:
            fetcher.join()
        for file in self._files.values():
            if file.copy:
                file.copy.abandon()

    def advice(self, name: str) -> str:
        """Returns where a copy that is damaged lies, and what to do."""
        return f"{self._files[name].local} is damaged: remove it, and the next run copies it from {self._remote.url}"

    def _wait_for(self, name: str, file: _File) -> io.FileIO:
        began = time.monotonic()
        # It failed when no thread waited for it; the network may be back by now.
        file.error = None
        try:
            while True:
                # Another process may have removed the copy.
                file.is_whole = False
                waited_for = [other for other in self._queue if self._files[other].waiting and other != name]
                self._queue = list(dict.fromkeys([*waited_for, name, *self._queue]))
                self._look_again()
                self._changed.wait_for(lambda: file.is_whole or file.error or self._is_closed)
                if self._is_closed:
                    raise RuntimeError(f"the staging of {self._remote.url} was closed before {name} was opened")
                if file.error:
                    raise file.error
                if (opened := _open(file)) is not None:
                    return opened
        finally:
            self._waited_seconds += time.monotonic() - began

    def _look_again(self) -> None:
        """Wakes the fetcher threads, as there may be new work or new room."""
        self._no_room_until = 0.0
        self._changed.notify_all()

    def _fetch(self) -> None:
        """Loop of a fetcher thread: copies range after range until the staging is closed."""
        while True:
            with self._changed:
                while (task := self._next_range()) is None:
                    if self._is_closed:
                        return
                    self._changed.wait(ROOM_POLL_SECONDS if self._no_room_until else None)
            file, copy, start = task
            is_whole, failure = False, None
            try:
                is_whole = copy.fetch(start)
            except Exception as error:
                failure = error
            if is_whole or failure:
                with self._changed:
                    # Only the first failure of a copy is reported.
                    if file.copy is copy:
                        file.copy, file.is_whole, file.error = None, is_whole, failure
                    self._look_again()

    def _next_range(self) -> tuple[_File, Copy, int] | None:
        """Returns the next range: of the soonest needed file, or of a later one where that has no room yet."""
        if self._is_closed:
            return None
        is_full = time.monotonic() < self._no_room_until
        for name in self._queue:
            file = self._files[name]
            if not (file.is_whole or file.error or file.copy or is_full):
                self._begin(file)
                is_full = self._no_room_until > 0
            if file.copy and (start := file.copy.take()) is not None:
                return file, file.copy, start
        return None

    def _begin(self, file: _File) -> None:
        """Makes room for a missing file, or records that there is none."""
        if file.is_on_disk():
            # Another process has copied it meanwhile.
            file.is_whole = True
            self._look_again()
            return
        asked_for = [self._files[name] for name in self._queue]
        keep = {other.local for other in self._files.values() if other.waiting} | {other.local for other in asked_for}
        # Also files that only another process knows to be complete: it may wait for the same room as this one.
        last = [other.local for other in reversed(asked_for) if not (other.waiting and other.is_whole)]
        try:
            part, removed = self._bounded.reserve(file.local, file.remote.num_bytes, keep, last if file.waiting else ())
        except Exception as error:
            file.error = error
            self._look_again()
            return
        for other in self._files.values() if removed else ():
            other.is_whole = other.is_whole and other.local not in removed
        if part:
            file.copy = Copy(self._remote, file.remote, part)
            # All fetchers share its ranges.
            self._look_again()
        else:
            self._no_room_until = time.monotonic() + ROOM_POLL_SECONDS


def _open(file: _File) -> io.FileIO | None:
    """Returns a local file open for reading, or None where it is missing; marks it as used."""
    try:
        opened = io.FileIO(file.local)
    except FileNotFoundError:
        return None
    if os.fstat(opened.fileno()).st_size != file.remote.num_bytes:
        opened.close()
        return None
    # A file of another user can be read but not marked.
    with contextlib.suppress(PermissionError):
        os.utime(opened.fileno())
    return opened
