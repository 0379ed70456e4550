"""A file of a bucket, open for reading; only the ranges that are read are fetched."""

from __future__ import annotations

import errno
import io
from typing import BinaryIO

from butterflyer_jax.storage import bucket, retry
from butterflyer_jax.storage.errors import access

# Block size by which a file that is read in small pieces is fetched.
_BLOCK_BYTES = 1 << 18


def open_remote(url: str) -> BinaryIO:
    """Opens a file of a bucket for reading.

    Raises:
      FileNotFoundError, OSError: raised by the bucket's file system; the methods of the file raise UserError.
    """
    return io.BufferedReader(_RemoteFile(url), _BLOCK_BYTES)


class _RemoteFile(io.RawIOBase):
    """A bucket's file, read by ranges."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._filesystem, self._path = bucket.connect(url)
        self._size = int(retry.policy()(self._filesystem.info, self._path)["size"] or 0)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence] + offset
        if position < 0:
            raise OSError(errno.EINVAL, "negative position in a file")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        length = min(len(buffer), max(0, self._size - self._position))
        data = self._read(length) if length else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, length: int) -> bytes:
        with access(self._url):
            start = self._position
            data: bytes = retry.policy()(self._filesystem.cat_file, self._path, start, start + length)
            return data
