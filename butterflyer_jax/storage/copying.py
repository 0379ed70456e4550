"""Copy of a bucket's file to the local disk: in ranges, by several threads, verified before it gets its final name."""

from __future__ import annotations

import collections
import threading

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage.bounded import PartialFile
from butterflyer_jax.storage.remote_folder import RemoteFile, RemoteFolder

# Fetched in one request and held in memory until written. From a distant bucket larger ranges were no faster, and the
# first file arrived later.
RANGE_BYTES = 4 << 20


class Copy:
    """A file that is being copied; all methods are thread-safe."""

    def __init__(self, folder: RemoteFolder, file: RemoteFile, part: PartialFile) -> None:
        self._folder = folder
        self._file = file
        self._part = part
        self._lock = threading.Lock()
        self._num_fetchers = 0
        self._is_abandoned = False
        self._is_closed = False
        self._is_second_attempt = False
        self._begin()

    def take(self) -> int | None:
        """Returns the start of a range that no thread fetches yet, to be passed to `fetch`; None if there is none."""
        with self._lock:
            if not self._ranges:
                return None
            self._num_fetchers += 1
            return self._ranges.popleft()

    def fetch(self, start: int) -> bool:
        """Copies a range that was taken; returns whether the whole file is now there under its final name.

        Raises:
          UserError: the file cannot be read or written, or does not match the bucket's checksum; the partial copy is
            removed.
        """
        try:
            data = self._folder.read(self._file.name, start, min(start + RANGE_BYTES, self._file.num_bytes))
            self._part.write(data, start)
            with self._lock:
                self._missing -= 1
                is_last = not self._missing
            return is_last and self._finish()
        except BaseException:
            self.abandon()
            raise
        finally:
            with self._lock:
                self._num_fetchers -= 1
                self._discard_if_abandoned()

    def abandon(self) -> None:
        """Stops copying; the partial file is removed once no thread writes to it."""
        with self._lock:
            self._is_abandoned = True
            self._ranges.clear()
            self._discard_if_abandoned()

    def _begin(self) -> None:
        # An empty file has one empty range.
        self._ranges = collections.deque(range(0, max(self._file.num_bytes, 1), RANGE_BYTES))
        self._missing = len(self._ranges)

    def _finish(self) -> bool:
        if self._file.is_content_of(self._part.file_descriptor):
            self._part.publish()
            self._is_closed = True
            return True
        if self._is_second_attempt:
            raise UserError(
                f"{self._folder.url}/{self._file.name} arrived twice with another checksum than the bucket lists: "
                "run the same command again if the file was just replaced, else upload it again"
            )
        # The network may have damaged it once, but hardly twice.
        self._is_second_attempt = True
        with self._lock:
            self._begin()
        return False

    def _discard_if_abandoned(self) -> None:
        if self._is_abandoned and not self._num_fetchers and not self._is_closed:
            self._is_closed = True
            self._part.discard()
