"""What is in a raw zip: which members are photographs, of which species, in which split, and which are not.

Layouts, found without a flag: `<Species>/<photo>`; `<train|val|test>/<Species>/<photo>`; photographs in any folder plus
a CSV `filename,label[,split]`. One wrapping folder is ignored.
"""

from __future__ import annotations

import csv
import io
import os
import zipfile
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
        return zipfile.ZipFile(location.open("rb"))
    except zipfile.BadZipFile as error:
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
        members, unlabelled, missing = _match_rows(labels, photos)
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
    """Takes the species from the folder, and the split from the folder above it if that names one."""
    parts = {name: PurePosixPath(name).parts for name in photos}
    if len({p[0] for p in parts.values()}) == 1 and all(
        len(p) > 2 and p[0].lower() not in SPLIT_NAMES for p in parts.values()
    ):
        parts = {name: p[1:] for name, p in parts.items()}
    by_split = bool(parts) and all(len(p) > 2 and p[0].lower() in SPLIT_NAMES for p in parts.values())
    members, rejects = [], []
    for name, p in parts.items():
        if by_split:
            members.append(Member(name, p[1], SPLIT_NAMES[p[0].lower()]))
        elif len(p) > 1:
            members.append(Member(name, p[0]))
        else:
            rejects.append(Reject(name, "not in a folder named after its species"))
    return members, rejects


@dataclass(frozen=True)
class _Row:
    filename: str
    label: str
    split: str | None
    table: str


def _read_tables(archive: zipfile.ZipFile, tables: Sequence[str]) -> list[_Row]:
    """Returns the rows of every CSV with the columns filename and label; others are no label files."""
    rows = []
    for table in tables:
        text = archive.read(table).decode("utf-8-sig", errors="replace")
        reader = csv.DictReader(io.StringIO(text))
        columns = {(column or "").strip().lower(): column for column in reader.fieldnames or ()}
        if "filename" not in columns or "label" not in columns:
            continue
        table_split = SPLIT_NAMES.get(PurePosixPath(table).stem.lower())
        for line in reader:
            filename = (line[columns["filename"]] or "").strip()
            label = (line[columns["label"]] or "").strip()
            split = (line[columns["split"]] or "").strip().lower() if "split" in columns else ""
            rows.append(_Row(filename, label, SPLIT_NAMES.get(split, table_split), table))
    return rows


def _match_rows(rows: Sequence[_Row], photos: Sequence[str]) -> tuple[list[Member], list[Reject], list[Reject]]:
    """Joins CSV rows with photographs: by path, by path beside the CSV, else by a file name that stands once."""
    exact = set(photos)
    by_name: dict[str, list[str]] = {}
    for photo in photos:
        by_name.setdefault(PurePosixPath(photo).name, []).append(photo)

    members: dict[str, Member] = {}
    conflicts: dict[str, Reject] = {}
    missing = []
    for row in rows:
        beside = str(PurePosixPath(row.table).parent / row.filename)
        same_name = by_name.get(PurePosixPath(row.filename).name, [])
        if row.filename in exact:
            photo = row.filename
        elif beside in exact:
            photo = beside
        elif len(same_name) == 1:
            photo = same_name[0]
        else:
            reason = "several files of that name" if same_name else "no such file in the zip"
            missing.append(Reject(row.filename, f"{row.table}: {reason}"))
            continue
        member = Member(photo, row.label, row.split)
        if not row.label:
            conflicts[photo] = Reject(photo, f"empty label in {row.table}")
        elif members.setdefault(photo, member) != member:
            conflicts[photo] = Reject(photo, f"two different rows in {row.table}")
    labelled = [member for name, member in members.items() if name not in conflicts]
    unlabelled = [
        conflicts.get(photo) or Reject(photo, "no row in the CSV")
        for photo in photos
        if photo in conflicts or photo not in members
    ]
    return labelled, unlabelled, missing
