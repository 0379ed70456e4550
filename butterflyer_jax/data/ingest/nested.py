"""Zips within a zip or folder, read in place, each as a folder of its name."""

from __future__ import annotations

import copy
import posixpath
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from butterflyer_jax.data.ingest import zip_names
from butterflyer_jax.data.ingest.folders.reading import some
from butterflyer_jax.data.ingest.source import Entry
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage.ranged import RangedFile

SUFFIX = ".zip"


class Nest(Protocol):
    """A zip or folder that contains zips."""

    def open_nested(self, entry: Entry) -> tuple[BinaryIO, int, str]:
        """Returns a zip as a file, its offset in the file that readers open, and its path in the source."""


@dataclass
class Opened:
    """The files of a collection, with each zip replaced by its files.

    Attributes:
      entries: all files.
      unopened: zips that cannot be read in place, with the reasons.
      notes: notes for the user.
    """

    entries: list[Entry]
    unopened: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def open_zips(nest: Nest, entries: Sequence[Entry], wanted: Callable[[str], bool], encoding: str) -> Opened:
    """Replaces the zips of a collection by their files; nothing is unpacked.

    Args:
      nest: the zip or folder that opens them.
      entries: files of the collection.
      wanted: returns whether a file of this name counts.
      encoding: code page of names that do not state theirs.

    Returns:
      The files; zips that cannot be opened, or whose files would take the names of others, stay as they are.

    Raises:
      UserError: the code page of names is not clear.
    """
    result = Opened([])
    zips = [entry for entry in entries if entry.name[-len(SUFFIX) :].lower() == SUFFIX and wanted(entry.name)]
    if not zips:
        return Opened(list(entries))
    names = {entry.name for entry in entries}
    parts: dict[str, list[Entry]] = {}
    for entry in zips:
        try:
            found, page = _list(nest, entry, encoding)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
            result.unopened[entry.name] = error.args[0] if isinstance(error, UserError) else f"no readable zip, {error}"
            continue
        taken = next((one.name for one in found if one.name in names), "")
        if taken:
            result.unopened[entry.name] = f"its files have the names of others, such as {taken}"
            continue
        parts[entry.name] = found
        names |= {one.name for one in found}
        if page:
            result.notes.append(f"file names in {entry.name} are read as {page}; build.name_encoding chooses another")
    for entry in entries:
        result.entries += parts.get(entry.name, [entry])
    if parts:
        result.notes.append(f"zips within it are read as folders of their names: {some(parts)}")
    return result


def _list(nest: Nest, entry: Entry, encoding: str) -> tuple[list[Entry], str]:
    file, start, archive = nest.open_nested(entry)
    with file, zipfile.ZipFile(file) as opened:
        infos = opened.infolist()
        names, page = zip_names.member_names(infos, encoding)
    stem = posixpath.splitext(entry.name)[0]
    inside = [(name, info) for name, info in zip(names, infos, strict=True) if not name.endswith("/")]
    # Monarch.zip may contain Monarch/0.jpg or 0.jpg.
    wrapped = all(name.startswith(posixpath.basename(stem) + "/") for name, _ in inside)
    folder = posixpath.dirname(stem) if wrapped else stem
    return [
        Entry(posixpath.join(folder, name), info.file_size, f"{info.CRC:08x}", _moved(info, start), archive)
        for name, info in inside
    ], page


def _moved(info: zipfile.ZipInfo, start: int) -> zipfile.ZipInfo:
    """Returns a directory entry with offsets in the outer file."""
    moved = copy.copy(info)
    moved.header_offset += start
    end = getattr(moved, "_end_offset", None)
    if end is not None:
        # Since Python 3.11.4: the end of the member's data.
        moved._end_offset = end + start  # type: ignore[attr-defined]
    return moved


class Window(RangedFile):
    """A range of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, num_bytes: int) -> None:
        super().__init__(num_bytes)
        self._file, self._start = file, start

    def fetch(self, start: int, length: int) -> bytes:
        """Returns `length` bytes from `start` on, counted from the beginning of the range."""
        self._file.seek(self._start + start)
        return self._file.read(length)

    def close(self) -> None:
        """Also closes the underlying file."""
        if not self.closed:
            self._file.close()
        super().close()
