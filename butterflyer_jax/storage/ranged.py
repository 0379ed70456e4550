"""A file of known size, open for reading, whose bytes are fetched range by range."""

from __future__ import annotations

import abc
import errno
import io


class RangedFile(io.RawIOBase):
    """Base of such files; only the ranges that are read are fetched."""

    def __init__(self, num_bytes: int) -> None:
        """Takes the size of the file, bytes."""
        self._num_bytes, self._position = num_bytes, 0

    @abc.abstractmethod
    def fetch(self, start: int, length: int) -> bytes:
        """Returns `length` bytes from `start` on, all of them within the file."""

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position relative to the start, the current position or the end."""
        position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._num_bytes}[whence] + offset
        if position < 0:
            raise OSError(errno.EINVAL, "negative position in a file")
        self._position = position
        return position

    def tell(self) -> int:
        """Returns the current position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills a buffer with the bytes that remain; returns their number."""
        length = min(len(buffer), max(0, self._num_bytes - self._position))
        data = self.fetch(self._position, length) if length else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
