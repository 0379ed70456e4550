"""Sources of photos: a zip or folder, on disk or in a bucket, read in place."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from butterflyer_jax.data.ingest.zip_reader import MAX_MEMBER_BYTES, DamagedMember, Member, MemberReader
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, paths
from butterflyer_jax.storage.errors import access

# Value of `Member.method` for a plain file.
PLAIN_FILE = -1


@dataclass(frozen=True)
class Entry:
    """A file of a collection.

    Attributes:
      name: path in the collection, with slashes.
      num_bytes: size of the file.
      version: checksum or modification time, which changes with the content.
      packed: directory entry of the zip; None in a folder.
      archive: zip in the folder that contains the file, "" for none.
      problem: reason why the file cannot be read, "" for none.
    """

    name: str
    num_bytes: int
    version: str
    packed: zipfile.ZipInfo | None = None
    archive: str = ""
    problem: str = ""

    def member(self, species: str, split: str | None, boxes: Sequence[Sequence[float]] = ()) -> Member:
        """Returns the file as a photo that can be read later, also on another machine."""
        if self.packed is None:
            return Member(self.name, species, split, 0, self.num_bytes, self.num_bytes, PLAIN_FILE, boxes=boxes)
        info = self.packed
        place = info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
        return Member(self.name, species, split, *place, self.archive, boxes)


class Reader(Protocol):
    """Reader of the photos of a source."""

    def read(self, member: Member) -> bytes:
        """Returns the bytes of a photo; raises DamagedMember."""


class FolderReader:
    """Reader of the photos of a folder, and of zips in it."""

    def __init__(self, folder: str | os.PathLike[str], members: Sequence[Member] = ()) -> None:
        """Opens the folder for these members, which are read fastest in their stored order."""
        self._folder = paths.path(folder)
        self._zips = {
            archive: MemberReader(self._folder / archive, [member for member in members if member.archive == archive])
            for archive in {member.archive for member in members if member.archive}
        }

    def read(self, member: Member) -> bytes:
        """Returns the bytes of a photo.

        Raises:
          DamagedMember: the file was removed or changed since the listing, or is too large.
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
    """Returns the reader of these photos of a zip or folder."""
    if members and any(member.method == PLAIN_FILE or member.archive for member in members):
        return FolderReader(source, members)
    return MemberReader(source, members)


def list_folder(folder: str | os.PathLike[str]) -> list[Entry]:
    """Returns the files below a folder, sorted by name; reads none of them.

    Links are followed, except those to a folder above them.

    Raises:
      UserError: a folder cannot be read.
    """
    location = paths.path(folder)
    if paths.is_remote(location):
        return _list_bucket(os.fspath(location))
    root = os.fspath(location)
    entries: list[Entry] = []
    # Real paths of each folder and its parents: following a link to one of them would never end.
    above = {str(Path(root)): frozenset([os.path.realpath(root)])}
    for top, folders, names in os.walk(root, followlinks=True, onerror=_raise_unreadable):
        inside = above.pop(str(Path(top)))
        for name in list(folders):
            path = Path(top, name)
            real = os.path.realpath(path)
            if real in inside:
                folders.remove(name)
                entries.append(_entry(path, root, "a link to a folder above it"))
            above[str(path)] = inside | {real}
        entries += [_entry(Path(top, name), root) for name in names]
    return sorted(entries, key=lambda entry: entry.name)


def _raise_unreadable(error: OSError) -> None:
    raise UserError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def _entry(path: Path, root: str, problem: str = "") -> Entry:
    name = os.path.relpath(path, root).replace(os.sep, "/")
    if problem:
        return Entry(name, 0, "", problem=problem)
    try:
        status = path.stat()
    except OSError as error:
        return Entry(name, 0, "", problem="a link to nowhere" if path.is_symlink() else str(error.strerror))
    if not stat.S_ISREG(status.st_mode):
        return Entry(name, 0, "", problem="a pipe, a socket or a device")
    return Entry(name, status.st_size, f"{status.st_mtime_ns}")


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
