"""A folder in a bucket, over an unreliable network: its listing, and any range of its files."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import tenacity

from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import bucket, errors, open_files, retry

T = TypeVar("T")
_CHUNK_BYTES = 1 << 20


class Stopped(Exception):
    """Reading ended because `RemoteFolder.stop` was called."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the bucket's listing.

    Attributes:
      name: file name in its folder.
      num_bytes: size of the file.
      version: 16 hex digits that change with the content.
      crc32c: checksum of the content, big-endian in base64; empty where the bucket has none.
      md5: hash of the content in base64; empty where the bucket has none.
    """

    name: str
    num_bytes: int
    version: str
    crc32c: str = ""
    md5: str = ""

    def is_content_of(self, file_descriptor: int) -> bool:
        """Returns whether a local file has this content, judged by its size and the known checksum."""
        if os.fstat(file_descriptor).st_size != self.num_bytes:
            return False
        checksum: Any
        if self.crc32c:
            import google_crc32c

            expected, checksum = self.crc32c, google_crc32c.Checksum()
        elif self.md5:
            expected, checksum = self.md5, hashlib.md5(usedforsecurity=False)
        else:
            return True
        for start in range(0, self.num_bytes, _CHUNK_BYTES):
            checksum.update(open_files.read_at(file_descriptor, _CHUNK_BYTES, start))
        return base64.b64encode(checksum.digest()).decode() == expected


class RemoteFolder:
    """A folder that fsspec can reach; all methods are thread-safe."""

    def __init__(self, url: str) -> None:
        """Takes the folder's address.

        Raises:
          UserError: an address of an unknown kind.
        """
        self.url = url.rstrip("/")
        self._lock = threading.Lock()
        self._num_bytes_read = 0
        self._stopped = threading.Event()
        self._under_way: set[concurrent.futures.Future[Any]] = set()
        self._filesystem, self._path = bucket.connect(self.url)

    @property
    def num_bytes_read(self) -> int:
        """Amount returned by `read` so far, bytes."""
        with self._lock:
            return self._num_bytes_read

    def list(self, names: Iterable[str]) -> dict[str, RemoteFile]:
        """Returns the files of these names, from one listing request.

        Raises:
          UserError: a file is missing, or the folder cannot be read; the message says why.
        """
        # Otherwise changes since this process's last listing would be missed.
        self._filesystem.invalidate_cache(self._path)
        entries = self._retried(lambda: self._call("ls", self._path, True), self.url, announce=True)
        files = {
            file.name: file
            for entry in entries
            if entry["type"] == "file" and entry["size"] is not None
            for file in [_remote_file(entry)]
        }
        wanted = list(names)
        missing = [name for name in wanted if name not in files]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(f"no such file: {self.url}/{missing[0]}{more}; was the data set copied there as a whole?")
        return {name: files[name] for name in wanted}

    def read(self, name: str, start: int, end: int) -> bytes:
        """Returns the bytes `[start, end)` of a file.

        Raises:
          UserError: they cannot be read, after retries where these may help; the message says why.
          Stopped: `stop` was called.
        """
        data = self._retried(lambda: self._read(name, start, end), f"{self.url}/{name}")
        with self._lock:
            self._num_bytes_read += len(data)
        return data

    def stop(self) -> None:
        """Interrupts current reads; later reads raise `Stopped`."""
        self._stopped.set()
        for future in list(self._under_way):
            future.cancel()

    def _read(self, name: str, start: int, end: int) -> bytes:
        data: bytes = self._call("cat_file", f"{self._path}/{name}", start, end)
        if len(data) != end - start:
            raise OSError(f"{len(data)} bytes came instead of {end - start}")
        return data

    def _call(self, method: str, *arguments: object) -> Any:
        if not self._filesystem.async_impl:
            return getattr(self._filesystem, method)(*arguments)
        # fsspec's own wait for an answer cannot be interrupted.
        answer = getattr(self._filesystem, f"_{method}")(*arguments)
        future = asyncio.run_coroutine_threadsafe(answer, self._filesystem.loop)
        self._under_way.add(future)
        if self._stopped.is_set():
            future.cancel()
        try:
            return future.result()
        finally:
            self._under_way.discard(future)

    def _retried(self, call: Callable[[], T], url: str, announce: bool = False) -> T:
        def is_worth_it(error: BaseException) -> bool:
            return not self._stopped.is_set() and errors.is_transient(error)

        def report(state: tenacity.RetryCallState) -> None:
            if announce and state.outcome and (error := state.outcome.exception()):
                say(f"cannot reach {url} yet: {errors.words_of(error)}; trying again")

        if self._stopped.is_set():
            raise Stopped
        try:
            return retry.policy(is_worth_it, self._stopped.wait, report)(call)
        except Exception as error:
            if self._stopped.is_set():
                raise Stopped from error
            if isinstance(error, FileNotFoundError) and not bucket.is_missing(self.url):
                raise UserError(f"no such file or folder: {url}") from error
            described = errors.describe_remote(error, url)
            if described is None:
                raise
            raise described from error


def _remote_file(entry: Mapping[str, Any]) -> RemoteFile:
    crc32c, md5 = entry.get("crc32c") or "", entry.get("md5Hash") or ""
    version = next((str(entry[key]) for key in bucket.VERSIONS if entry.get(key)), "")
    identity = json.dumps([entry["size"], crc32c, version])
    return RemoteFile(
        name=entry["name"].rsplit("/", 1)[-1],
        num_bytes=entry["size"],
        version=hashlib.sha256(identity.encode()).hexdigest()[:16],
        crc32c=crc32c,
        md5=md5,
    )
