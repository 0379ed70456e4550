"""Download of a single file, kept in the cache."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from butterflyer_jax.console import progress, say
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import bucket, errors, files, paths

CHUNK_BYTES = 1 << 20


def cached_file(url: str, folder: str) -> Path:
    """Returns a local copy of a file, downloaded unless the cache has its newest version.

    A copy is complete or absent. Where the network is down, the newest copy in the cache is used.

    Args:
      url: http://, https:// or gs://.
      folder: subfolder of the cache for such files; the name of the copy ends with the file's name.

    Raises:
      UserError: the file cannot be reached or read, or the disk is full.
    """
    copies = Path(paths.cache_dir()) / folder / sha256(url.encode()).hexdigest()[:16]
    name = posixpath.basename(urlsplit(url).path)
    try:
        filesystem, inner = bucket.connect(url)
        info = filesystem.info(inner)
    except Exception as failed:
        error = _cause(failed)
        old = sorted(copies.glob(f"*-{glob.escape(name)}"), key=lambda path: path.stat().st_mtime)
        if not old or isinstance(error, FileNotFoundError):
            raise _described(error, url) from error
        say(f"{url} cannot be reached now, taking the copy of it in {copies}")
        return old[-1]
    num_bytes = int(info.get("size") or 0)
    version = [num_bytes, *(str(info[key]) for key in bucket.VERSIONS if info.get(key))]
    path = copies / f"{sha256(repr(version).encode()).hexdigest()[:16]}-{name}"
    if not path.exists():
        with files.whole_file(path) as target:
            _copy(filesystem, inner, url, Path(target), num_bytes)
    return path


def local_file(name: str | os.PathLike[str], folder: str) -> Path:
    """Returns a file on the local disk: the file itself where it is local, else its copy by `cached_file`.

    Raises:
      UserError: the file is remote, and cannot be reached or read.
    """
    return cached_file(os.fspath(name), folder) if paths.is_remote(name) else Path(paths.path(name))


def _copy(filesystem: Any, inner: str, url: str, target: Path, num_bytes: int) -> None:
    done = 0
    with target.open("wb") as file:
        chunks = _chunks(filesystem, inner, url)
        for chunk in progress(chunks, -(-num_bytes // CHUNK_BYTES), f"reading {url}, MiB"):
            file.write(chunk)
            done += len(chunk)
    if num_bytes and done != num_bytes:
        raise UserError(f"cannot read {url}: it ended after {done:,} of {num_bytes:,} bytes")


def _chunks(filesystem: Any, inner: str, url: str) -> Iterator[bytes]:
    # A plain web server may not support ranges, but every server can stream a file.
    options = {"block_size": 0} if url.startswith("http") else {}
    try:
        with filesystem.open(inner, "rb", **options) as stream:
            pending = bytearray()
            # A stream returns the bytes at hand, often fewer than requested.
            while piece := stream.read(CHUNK_BYTES):
                pending += piece
                if len(pending) >= CHUNK_BYTES:
                    yield bytes(pending[:CHUNK_BYTES])
                    del pending[:CHUNK_BYTES]
            yield bytes(pending)
    except Exception as failed:
        error = _cause(failed)
        raise _described(error, url) from error


def _cause(error: Exception) -> Exception:
    """Returns the actual cause: fsspec reports an unreachable web server as a missing file."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or not isinstance(cause, Exception):
        return error
    return error if getattr(cause, "status", None) in (404, 410) else cause


def _described(error: Exception, url: str) -> Exception:
    if isinstance(error, UserError):
        return error
    return errors.describe_remote(error, url) or error
