"""What is in a raw zip: which members are photographs, of which species, in which split, and which are not.

Layouts, found without a flag: `<Species>/<photo>`; `<train|val|test>/<Species>/<photo>`; photographs in any folder plus
CSVs `filename,label[,split]`, one for all or `train.csv`, `val.csv`, `test.csv`. Wrapping folders are ignored.
"""

from __future__ import annotations

import functools
import os
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import IO

from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest import labels, zip_reader
from butterflyer_jax.data.ingest.split import SPLIT_NAMES
from butterflyer_jax.data.ingest.zip_reader import Member
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files as storage
from butterflyer_jax.storage import paths

_UTF8_NAME = 0x800
_WINDOWS = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """A photograph that is left out, and why; a row of rejects.csv."""

    member: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """Everything in a zip: `num_files = len(members) + len(rejects) + num_ignored`.

    Attributes:
      members: photographs with a species, sorted by name.
      rejects: photographs that cannot be used.
      missing: rows of a CSV without a file in the zip.
      num_ignored: files that are no photographs.
      num_files: files in the zip, folders not counted.
      fingerprint: hash of names, sizes and checksums; the same for the same content in any order.
    """

    members: tuple[Member, ...]
    rejects: tuple[Reject, ...]
    missing: tuple[Reject, ...]
    num_ignored: int
    num_files: int
    fingerprint: str


def list_zip(archive: str | os.PathLike[str]) -> Listing:
    """Returns what `read_listing` finds in a raw zip, local or gs://; of the last local one it knows the answer.

    Raises:
      UserError: as `open_zip` and `read_listing`.
    """
    location = paths.path(archive)
    if paths.is_remote(location) or not location.exists():
        with open_zip(archive) as opened:
            return read_listing(opened)
    stat = os.stat(location)  # noqa: PTH116  (epath's knows seconds only)
    return _list_zip(os.fspath(location), (stat.st_size, stat.st_mtime_ns, stat.st_ino))


@functools.lru_cache(maxsize=1)
def _list_zip(archive: str, _: object) -> Listing:
    with open_zip(archive) as opened:
        return read_listing(opened)


def open_zip(archive: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Opens a raw zip, local or gs://.

    Raises:
      UserError: no such zip, or it is none.
    """
    location = paths.path(archive)
    if not location.exists():
        raise UserError(f"no such zip: {location}")
    if location.is_dir():
        raise UserError(f"{location} is a folder, not a zip")
    try:
        # By name where that is possible: the zip then closes the file.
        name = os.fspath(location)
        opened = _BucketZip(location.open("rb"), name) if paths.is_remote(location) else zipfile.ZipFile(name)
    # ValueError: text that is none; a file of a bucket that is too short for a zip.
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        head = storage.read_range(location, 0, zip_reader.ARCHIVE_HEAD_BYTES)
        raise UserError(f"{location} is {zip_reader.why_no_zip(head)} ({error})") from error
    split = zip_reader.check_not_split(opened.infolist())
    if split:
        opened.close()
        raise UserError(f"{location} is {split}")
    return opened


class _BucketZip(zipfile.ZipFile):
    """A zip that closes the file it is read from."""

    def __init__(self, file: IO[bytes], location: str) -> None:
        self._file = file
        try:
            super().__init__(file)
        except BaseException:
            file.close()
            raise
        self.filename = location

    def close(self) -> None:
        """Closes both."""
        super().close()
        self._file.close()


def read_listing(archive: zipfile.ZipFile) -> Listing:
    """Finds the photographs of a zip with their species; reads the directory and CSVs, no photograph.

    Raises:
      UserError: no photograph in it, or a CSV that cannot be read.
    """
    files = [info for info in archive.infolist() if not info.is_dir()]
    # Of members of one name the last one counts, as it does for every program that unpacks.
    latest = {name: info for name, info in ((_name(info), info) for info in files) if not _is_clutter(name)}
    tables = {name: info for name, info in latest.items() if PurePosixPath(name).suffix.lower() == ".csv"}
    photos: dict[str, zipfile.ZipInfo] = {}
    rejects: list[Reject] = []
    for name in find_images(archive, {name: info for name, info in latest.items() if name not in tables}):
        reason = _unusable(latest[name], name)
        if reason:
            rejects.append(Reject(name, reason))
        else:
            photos[name] = latest[name]
    num_ignored = len(files) - len(photos) - len(rejects)
    if not photos and not rejects:
        raise UserError(f"no photographs in {archive.filename or 'the zip'}: no file in it is an image")

    missing: list[Reject] = []
    rows = labels.read_rows(archive, tables)
    if rows:
        matches = labels.match(rows, [*photos, *(reject.member for reject in rejects)])
        species = {name: label for name, label in matches.labels.items() if name not in matches.conflicts}
        reasons = {name: matches.conflicts.get(name, "no row in the CSV") for name in photos if name not in species}
        missing = [Reject(*row) for row in matches.missing]
    else:
        species, reasons = _read_folders(list(photos))
    return Listing(
        members=tuple(member(name, *species[name], photos[name]) for name in sorted(photos.keys() & species.keys())),
        rejects=(*rejects, *(Reject(name, reason) for name, reason in reasons.items())),
        missing=tuple(missing),
        num_ignored=num_ignored,
        num_files=len(files),
        fingerprint=_fingerprint(files),
    )


def _name(info: zipfile.ZipInfo) -> str:
    """Returns a member's path as its author wrote it, whichever program packed it."""
    unicode_path = zip_reader.unicode_path(info)
    name = unicode_path or info.filename
    if not unicode_path and not info.flag_bits & _UTF8_NAME:
        # macOS packs UTF-8 without saying so, and Python then reads the code page of the first PC.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.filename
    # Some programs on Windows leave its separators in.
    return name.replace("\\", "/") if info.create_system == _WINDOWS else name


def member(name: str, species: str, split: str | None, info: zipfile.ZipInfo) -> Member:
    """Returns a photograph of a zip as `MemberReader` reads it."""
    place = info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
    return Member(name, species, split, *place)


def find_images(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]) -> list[str]:
    """Returns the names of the images: by their suffix, the others by their content."""
    unknown = [name for name in infos if PurePosixPath(name).suffix.lower() not in image_format.SUFFIXES]
    heads = zip_reader.read_heads(archive, [infos[name] for name in unknown], image_format.HEAD_BYTES)
    others = {name for name, head in zip(unknown, heads, strict=True) if not image_format.sniff(head)}
    return [name for name in infos if name not in others]


def _is_clutter(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part != ".." for part in path.parts)
    return hidden or "__MACOSX" in path.parts or path.name.lower() == "thumbs.db"


def _unusable(info: zipfile.ZipInfo, name: str) -> str:
    if name.startswith("/") or ".." in PurePosixPath(name).parts or re.match("[A-Za-z]:", name):
        return "name climbs out of the folder"
    return zip_reader.why_unreadable(info) or ("" if info.file_size else "zero bytes")


def _fingerprint(files: Sequence[zipfile.ZipInfo]) -> str:
    lines = sorted(f"{info.CRC:08x} {info.file_size} {info.filename}" for info in files)
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _read_folders(photos: Sequence[str]) -> tuple[dict[str, tuple[str, str | None]], dict[str, str]]:
    """Takes the species from the folder, and the split from the folder above it if such folders name splits.

    Returns:
      Species and split of each photograph, and the reason of each that has none.
    """
    parts = {name: PurePosixPath(name).parts for name in photos}
    # A wrapping folder holds everything, and folders; a single stray picture changes neither this nor what follows.
    while any(len(p) > 2 for p in parts.values()):
        tops = {p[0] for p in parts.values()}
        if len(tops) > 1 or tops.pop().lower() in SPLIT_NAMES:
            break
        parts = {name: p[1:] for name, p in parts.items()}
    folders = {p[0].lower() for p in parts.values() if len(p) > 2}
    by_split = len(folders & SPLIT_NAMES.keys()) > 1 or (bool(folders) and folders <= SPLIT_NAMES.keys())
    species: dict[str, tuple[str, str | None]] = {}
    reasons: dict[str, str] = {}
    for name, p in parts.items():
        if by_split and len(p) > 2 and p[0].lower() in SPLIT_NAMES:
            species[name] = labels.plain(p[1]), SPLIT_NAMES[p[0].lower()]
        elif by_split:
            reasons[name] = "not in a folder <split>/<species>, as others are"
        elif len(p) > 1:
            species[name] = labels.plain(p[0]), None
        else:
            reasons[name] = "not in a folder named after its species"
    for name in [name for name, (label, _) in species.items() if not label]:
        del species[name]
        reasons[name] = "the name of its folder is blank"
    return species, reasons
