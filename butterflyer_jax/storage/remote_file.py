"""A file of a bucket, open for reading; only the ranges that are read are fetched."""

from __future__ import annotations

import io
from typing import BinaryIO

from butterflyer_jax.storage import retry
from butterflyer_jax.storage.errors import access
from butterflyer_jax.storage.ranged import RangedFile

# Block size by which a file that is read in small pieces is fetched.
_BLOCK_BYTES = 1 << 18


def open_remote(url: str) -> BinaryIO:
    """Opens a file of a bucket for reading.

    Raises:
      FileNotFoundError, OSError: raised by the bucket's file system; the methods of the file raise UserError.
    """
    return io.BufferedReader(_RemoteFile(url), _BLOCK_BYTES)


class _RemoteFile(RangedFile):
    """A bucket's file."""

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__(int(retry.call(url, "info")["size"] or 0))

    def fetch(self, start: int, length: int) -> bytes:
        with access(self._url):
            return retry.call(self._url, "cat_file", start, start + length)
