"""Sources of photos: a zip or a folder, on disk or in a bucket, read without a copy."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from butterflyer_jax.data.ingest.zip_reader import MAX_MEMBER_BYTES, DamagedMember, Member, MemberReader
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, paths
from butterflyer_jax.storage.errors import access

# Of `Member.method`: a file of its own, not packed.
PLAIN_FILE = -1


@dataclass(frozen=True)
class Entry:
    """A file of a collection.

    Attributes:
      name: its path there, with slashes.
      num_bytes: its size.
      version: changes with its content: the checksum, or the time of the last change.
      packed: the zip's own entry; None in a folder.
      archive: the zip in the folder that holds it, "" for none.
    """

    name: str
    num_bytes: int
    version: str
    packed: zipfile.ZipInfo | None = None
    archive: str = ""

    def member(self, species: str, split: str | None) -> Member:
        """Returns it as a photo that can be read later, on another machine too."""
        if self.packed is None:
            return Member(self.name, species, split, 0, self.num_bytes, self.num_bytes, PLAIN_FILE)
        info = self.packed
        place = info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
        return Member(self.name, species, split, *place, self.archive)


class Reader(Protocol):
    """Reads photos of a source."""

    def read(self, member: Member) -> bytes:
        """Returns the bytes of a photo; raises DamagedMember."""


class FolderReader:
    """Reads files of a folder, and of zips in it."""

    def __init__(self, folder: str | os.PathLike[str], members: Sequence[Member] = ()) -> None:
        """Opens the folder for these members, which are best read in the order in which they lie."""
        self._folder = paths.path(folder)
        self._zips = {
            archive: MemberReader(self._folder / archive, [member for member in members if member.archive == archive])
            for archive in {member.archive for member in members if member.archive}
        }

    def read(self, member: Member) -> bytes:
        """Returns the bytes of a photo.

        Raises:
          DamagedMember: it is gone, another than when it was listed, or too large.
        """
        if member.archive:
            return self._zips[member.archive].read(member)
        if member.num_bytes > MAX_MEMBER_BYTES:
            raise DamagedMember(f"too large: more than {MAX_MEMBER_BYTES >> 20} MiB")
        path = self._folder / member.name
        try:
            data = files.read_range(path, 0, member.num_bytes + 1)
        except UserError as error:
            if not files.exists(path):
                raise DamagedMember("not readable: it was removed during the build") from error
            if paths.is_remote(path):
                raise
            raise DamagedMember(f"not readable: {error}") from error
        if len(data) != member.num_bytes:
            raise DamagedMember("not readable: it was changed during the build")
        return data


def open_reader(source: str | os.PathLike[str], members: Sequence[Member]) -> Reader:
    """Returns what reads these photos of a zip or a folder."""
    if members and any(member.method == PLAIN_FILE or member.archive for member in members):
        return FolderReader(source, members)
    return MemberReader(source, members)


def list_folder(folder: str | os.PathLike[str]) -> list[Entry]:
    """Returns the files of a folder and of those below it, sorted by name; reads none of them."""
    location = paths.path(folder)
    if paths.is_remote(location):
        return _list_bucket(os.fspath(location))
    entries, seen = [], set()
    for top, folders, names in os.walk(os.fspath(location), followlinks=True):
        real = os.path.realpath(top)
        if real in seen:
            # A link to a folder above.
            folders.clear()
            continue
        seen.add(real)
        for name in names:
            path = Path(top, name)
            try:
                status = path.stat()
            except OSError:
                # A link to nowhere.
                continue
            if path.is_file():
                relative = os.path.relpath(path, os.fspath(location)).replace(os.sep, "/")
                entries.append(Entry(relative, status.st_size, f"{status.st_mtime_ns}"))
    return sorted(entries, key=lambda entry: entry.name)


def _list_bucket(url: str) -> list[Entry]:
    import fsspec

    with access(url):
        filesystem, inner = fsspec.core.url_to_fs(url)
        found = filesystem.find(inner, detail=True)
    start = len(inner.rstrip("/")) + 1
    entries = [
        Entry(
            name[start:],
            int(info["size"]),
            str(info.get("crc32c") or info.get("etag") or info.get("md5Hash") or info.get("generation")),
        )
        for name, info in found.items()
        if info.get("type") != "directory" and not name.endswith("/")
    ]
    return sorted(entries, key=lambda entry: entry.name)
