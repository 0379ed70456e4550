"""Tables of labels that lie outside the zip or the folder of photos: paths in `build.table`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import Any
from zlib import crc32

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest.source import Entry
from butterflyer_jax.data.ingest.tables import reader
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, paths


def listed(option: str) -> list[str]:
    """Returns the tables that `build.table` names."""
    return [name.strip() for name in option.split(",") if name.strip()]


def is_outside(name: str) -> bool:
    """Returns whether a name of `build.table` is a path: absolute or gs://, as no file of a collection is."""
    return paths.is_remote(name) or PurePath(name).is_absolute()


def within(option: str, folder: str) -> str:
    """Returns `build.table` with the names of those tables that lie in the folder of photos itself."""
    start = folder.rstrip("/") + "/"
    return ",".join(name.removeprefix(start) for name in listed(option))


def values(config: BuildConfig) -> dict[str, Any]:
    """Returns the fields of a build config that records depend on: a table outside by its name, not by its place."""
    names = [PurePosixPath(name).name if is_outside(name) else name for name in listed(config.table)]
    found = dataclasses.asdict(config) | ({"table": ",".join(names)} if _paths(config.table) else {})
    if config.box_format == BuildConfig.box_format:
        # Data sets of versions without it stay what they are.
        del found["box_format"]
    return found


def read(option: str) -> Mapping[str, bytes]:
    """Returns the content of the tables of `build.table` that lie outside, by their path.

    Raises:
      UserError: one is not there, too large, or a file of a program that is not read.
    """
    found = {}
    for name in _paths(option):
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in reader.UNREAD:
            raise UserError(f"{name}: {reader.UNREAD[suffix]} is not read: save it as CSV")
        if suffix not in reader.SUFFIXES:
            raise UserError(f"{name}: no table has this suffix; there are .csv, .tsv, .txt, .json, .jsonl and .xlsx")
        if not files.exists(paths.path(name)):
            raise UserError(f"no such table: {name}")
        found[name] = files.read_range(paths.path(name), 0, reader.MAX_TABLE_BYTES + 1)
    return found


def checksums(config: BuildConfig) -> tuple[int, ...]:
    """Returns the checksums of the tables outside, by which a listing in memory is known to be old."""
    return tuple(map(crc32, read(config.table).values()))


def entry(name: str, content: bytes) -> Entry:
    """Returns a table outside as a file of the collection, whose fingerprint it is a part of."""
    return Entry(PurePosixPath(name).name, len(content), f"{crc32(content):08x}")


def _paths(option: str) -> list[str]:
    return [name for name in listed(option) if is_outside(name)]
