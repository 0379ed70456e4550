"""What is in a raw zip: which members are photographs, of which species, in which split, and which are not.

Layouts, found without a flag: `<Species>/<photo>`; `<train|val|test>/<Species>/<photo>`; photographs in any folder plus
a CSV `filename,label[,split]`. One wrapping folder is ignored.
"""

from __future__ import annotations

import csv
import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from butterflyer_jax.config import UserError
from butterflyer_jax.data import storage

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
ENCRYPTED = 0x1


@dataclass(frozen=True)
class Member:
    """A photograph of the zip: its name there, its species, and its split where the zip gives one."""

    name: str
    species: str
    split: str | None = None


@dataclass(frozen=True)
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


def open_zip(archive: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Opens a raw zip, local or gs://.

    Raises:
      UserError: no such file, or it is no zip.
    """
    location = storage.path(archive)
    if not location.exists():
        raise UserError(f"no such zip: {location}")
    if location.is_dir():
        raise UserError(f"{location} is a folder, not a zip")
    try:
        # By name where that is possible: the zip then closes the file.
        return zipfile.ZipFile(location.open("rb") if "://" in os.fspath(location) else os.fspath(location))
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise UserError(f"{location} is no zip, or a damaged one: {error}") from error


def read_listing(archive: zipfile.ZipFile) -> Listing:
    """Finds the photographs of a zip with their species; reads the directory and CSVs, no photograph.

    Raises:
      UserError: no photograph in it.
    """
    files = [info for info in archive.infolist() if not info.is_dir()]
    photos: list[str] = []
    tables: list[str] = []
    rejects: list[Reject] = []
    seen: set[str] = set()
    for info in files:
        path = PurePosixPath(info.filename)
        if _is_clutter(path):
            continue
        if path.suffix.lower() == ".csv":
            tables.append(info.filename)
        elif path.suffix.lower() in PHOTO_SUFFIXES:
            reason = _unusable(info, seen)
            seen.add(info.filename)
            if reason:
                rejects.append(Reject(info.filename, reason))
            else:
                photos.append(info.filename)
    num_ignored = len(files) - len(photos) - len(rejects)
    if not photos and not rejects:
        raise UserError(
            f"no photographs in {archive.filename or 'the zip'} (looked for {', '.join(sorted(PHOTO_SUFFIXES))})"
        )

    labels = _read_tables(archive, tables)
    if labels:
        members, unlabelled, missing = _match_rows(labels, photos, [reject.member for reject in rejects])
    else:
        members, unlabelled = _read_folders(photos)
        missing = []
    return Listing(
        members=tuple(sorted(members, key=lambda member: member.name)),
        rejects=tuple(rejects + unlabelled),
        missing=tuple(missing),
        num_ignored=num_ignored,
        num_files=len(files),
        fingerprint=_fingerprint(files),
    )


def _is_clutter(path: PurePosixPath) -> bool:
    return "__MACOSX" in path.parts or path.name.startswith(".") or path.name.lower() == "thumbs.db"


def _unusable(info: zipfile.ZipInfo, seen: set[str]) -> str:
    if info.filename in seen:
        return "a second member of the same name"
    if info.filename.startswith("/") or ".." in PurePosixPath(info.filename).parts:
        return "name climbs out of the folder"
    if info.flag_bits & ENCRYPTED:
        return "encrypted"
    if info.file_size == 0:
        return "zero bytes"
    return ""


def _fingerprint(files: Sequence[zipfile.ZipInfo]) -> str:
    lines = sorted(f"{info.CRC:08x} {info.file_size} {info.filename}" for info in files)
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _read_folders(photos: Sequence[str]) -> tuple[list[Member], list[Reject]]:
    """Takes the species from the folder, and the split from the folder above it if such folders name splits."""
    parts = {name: PurePosixPath(name).parts for name in photos}
    tops = {p[0] for p in parts.values()}
    # A wrapping folder holds everything, and folders; a single stray picture changes neither this nor what follows.
    if len(tops) == 1 and not tops & SPLIT_NAMES.keys() and any(len(p) > 2 for p in parts.values()):
        parts = {name: p[1:] for name, p in parts.items()}
    folders = {p[0].lower() for p in parts.values() if len(p) > 2}
    by_split = len(folders & SPLIT_NAMES.keys()) > 1 or (bool(folders) and folders <= SPLIT_NAMES.keys())
    members, rejects = [], []
    for name, p in parts.items():
        if by_split and len(p) > 2 and p[0].lower() in SPLIT_NAMES:
            members.append(Member(name, _species(p[1]), SPLIT_NAMES[p[0].lower()]))
        elif by_split:
            rejects.append(Reject(name, "not in a folder <split>/<species>, as others are"))
        elif len(p) > 1:
            members.append(Member(name, _species(p[0])))
        else:
            rejects.append(Reject(name, "not in a folder named after its species"))
    return members, rejects


def _species(label: str) -> str:
    """Returns a label with its white space made plain: TFDS keeps names one a line, stripped."""
    return " ".join(label.split())


@dataclass(frozen=True)
class _Row:
    filename: str
    label: str
    split: str
    table: str


def _read_tables(archive: zipfile.ZipFile, tables: Sequence[str]) -> list[_Row]:
    """Returns the rows of every CSV with the columns filename and label; others are no label files."""
    rows = []
    for table in tables:
        try:
            rows += _read_table(table, archive.read(table).decode("utf-8-sig"))
        except (csv.Error, zipfile.BadZipFile, zlib.error, UnicodeDecodeError, RuntimeError) as error:
            raise UserError(f"cannot read {table} in the zip (a CSV in UTF-8 is wanted): {error}") from error
    return rows


def _read_table(table: str, text: str) -> list[_Row]:
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=header.count))
    columns = {(column or "").strip().lower(): column for column in reader.fieldnames or ()}
    if "filename" not in columns or "label" not in columns:
        return []

    def cell(line: dict[str, str], column: str) -> str:
        return (line[columns[column]] or "").strip() if column in columns else ""

    split_of_table = PurePosixPath(table).stem.lower() if PurePosixPath(table).stem.lower() in SPLIT_NAMES else ""
    return [
        _Row(
            cell(line, "filename"), _species(cell(line, "label")), cell(line, "split").lower() or split_of_table, table
        )
        for line in reader
    ]


def _match_rows(
    rows: Sequence[_Row], photos: Sequence[str], unusable: Sequence[str]
) -> tuple[list[Member], list[Reject], list[Reject]]:
    """Joins CSV rows with photographs: by path, by path beside the CSV, else by the end of a path that stands once."""
    exact = {*photos, *unusable}
    by_name: dict[str, list[str]] = {}
    for photo in exact:
        by_name.setdefault(PurePosixPath(photo).name, []).append(photo)

    members: dict[str, Member] = {}
    conflicts: dict[str, Reject] = {}
    missing = []
    for row in rows:
        beside = str(PurePosixPath(row.table).parent / row.filename)
        same_end = [
            p for p in by_name.get(PurePosixPath(row.filename).name, []) if f"/{p}".endswith(f"/{row.filename}")
        ]
        found = [p for p in (row.filename, beside) if p in exact][:1] or same_end
        if len(found) != 1:
            reason = "several files of that name" if found else "no such file in the zip"
            missing.append(Reject(row.filename, f"{row.table}: {reason}"))
            continue
        [photo] = found
        if row.split and row.split not in SPLIT_NAMES:
            conflicts[photo] = Reject(photo, f"unknown split {row.split!r} in {row.table}")
        member = Member(photo, row.label, SPLIT_NAMES.get(row.split))
        if not row.label:
            conflicts[photo] = Reject(photo, f"empty label in {row.table}")
        elif members.setdefault(photo, member) != member:
            conflicts[photo] = Reject(photo, f"two different rows in {row.table}")
    labelled = [members[photo] for photo in photos if photo in members and photo not in conflicts]
    unlabelled = [
        conflicts.get(photo) or Reject(photo, "no row in the CSV")
        for photo in photos
        if photo in conflicts or photo not in members
    ]
    return labelled, unlabelled, missing
