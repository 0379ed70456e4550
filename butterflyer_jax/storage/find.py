"""Search in folders, local or gs://, by a pattern or for all files; a folder's own name is never read as a pattern."""

from __future__ import annotations

import glob as glob_lib
import os
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from butterflyer_jax.storage import bucket, retry
from butterflyer_jax.storage.errors import access
from butterflyer_jax.storage.paths import is_remote, path

Name = str | os.PathLike[str]


def glob(folder: Name, pattern: str) -> list[epath.Path]:
    """Returns the paths below a folder that match a pattern, sorted; the folder's own name is not part of the pattern.

    Raises:
      UserError: the folder cannot be read.
    """
    with access(folder):
        if is_remote(folder):
            filesystem, inner = bucket.connect(os.fspath(folder))
            found = retry.policy()(filesystem.glob, f"{glob_lib.escape(inner)}/{pattern}")
            return sorted(path(_url(folder, name)) for name in found)
        return sorted(path(found) for found in Path(path(folder)).glob(pattern))


def matching(pattern: str) -> list[str]:
    """Returns the paths that match a user's pattern, sorted, in its form; `**` matches folders at any depth.

    Raises:
      UserError: the bucket cannot be read.
    """
    with access(pattern):
        if is_remote(pattern):
            return sorted(_url(pattern, name) for name in retry.call(pattern, "glob"))
        return sorted(glob_lib.glob(os.path.expanduser(pattern), recursive=True))  # noqa: PTH111, PTH207


def files_below(folder: Name) -> list[epath.Path]:
    """Returns all files below a folder, sorted; each once, also where symbolic links form a cycle.

    Raises:
      UserError: the folder cannot be read.
    """
    with access(folder):
        if is_remote(folder):
            return sorted(path(_url(folder, name)) for name in retry.call(folder, "find"))
        return sorted(path(name) for name in _walk(os.fspath(path(folder)), set()))


def _url(like: Name, inner: str) -> str:
    return f"{os.fspath(like).split('://')[0]}://{inner.lstrip('/')}"


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    # By name alone a cyclic link would be followed up to the system's limit, about forty times.
    status = os.stat(folder)  # noqa: PTH116
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            try:
                is_folder = entry.is_dir()
            except OSError:
                # A link to itself: reading it raises the actual error.
                is_folder = False
            if is_folder:
                yield from _walk(entry.path, seen)
            else:
                yield entry.path
