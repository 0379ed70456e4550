"""Labels in CSV files of a zip: which row is about which photograph."""

from __future__ import annotations

import csv
import io
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from butterflyer_jax.config import UserError

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MAX_HEADER_BYTES = 64 << 10
# A table of a million photographs takes a tenth of it; what is larger is no table.
MAX_TABLE_BYTES = 1 << 30


@dataclass(frozen=True)
class Row:
    """A row of a label file: the photograph's name, its species, its split ("" where none is given), and the file."""

    filename: str
    label: str
    split: str
    table: str


@dataclass
class Matches:
    """What the rows say of the photographs.

    Attributes:
      labels: species and split (None where none is given) of each photograph with one usable row.
      conflicts: photographs whose rows cannot be used, and why.
      missing: (filename, reason) of rows without a file in the zip.
    """

    labels: dict[str, tuple[str, str | None]]
    conflicts: dict[str, str]
    missing: list[tuple[str, str]]


def plain(label: str) -> str:
    """Returns a label with its white space and accents in one form: TFDS keeps names one a line, stripped."""
    return unicodedata.normalize("NFC", " ".join(label.split()))


def read_rows(archive: zipfile.ZipFile, tables: Sequence[str]) -> list[Row]:
    """Returns the rows of every CSV with the columns filename and label; others are no label files.

    Raises:
      UserError: a CSV cannot be read.
    """
    rows = []
    for table in tables:
        try:
            with archive.open(table) as file:
                head = file.read(MAX_HEADER_BYTES)
                if not {"filename", "label"} <= _columns(head.decode("utf-8-sig", "replace")).keys():
                    continue
                data = head + file.read(MAX_TABLE_BYTES)
            if len(data) > MAX_TABLE_BYTES:
                raise UserError(f"{table} in the zip is too large: more than {MAX_TABLE_BYTES >> 20} MiB")
            rows += _parse(table, data.decode("utf-8-sig"))
        except UserError:
            raise
        except Exception as error:
            # Each way to pack has errors of its own for damaged data, and so have CSV and UTF-8.
            raise UserError(
                f"cannot read {table} in the zip (a CSV in UTF-8 is wanted): {str(error) or type(error).__name__}"
            ) from error
    return rows


def _columns(text: str) -> dict[str, str]:
    """Returns {name in lower case: name} of a CSV's columns."""
    return {column.strip().lower(): column for column in _reader(text).fieldnames or () if column}


def _reader(text: str) -> csv.DictReader[str]:
    header = text.partition("\n")[0]
    return csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=header.count))


def _parse(table: str, text: str) -> list[Row]:
    columns = _columns(text)

    def cell(line: dict[str, str], column: str) -> str:
        return (line[columns[column]] or "").strip() if column in columns else ""

    stem = PurePosixPath(table).stem.lower()
    split_of_table = stem if stem in SPLIT_NAMES else ""
    return [
        Row(
            cell(line, "filename").replace("\\", "/").removeprefix("./"),
            plain(cell(line, "label")),
            cell(line, "split").lower() or split_of_table,
            table,
        )
        for line in _reader(text)
    ]


def match(rows: Sequence[Row], photos: Sequence[str]) -> Matches:
    """Joins rows with photographs: by path, by path beside the CSV, else by the end of a path that stands once.

    Where nothing is spelt so exactly, letters of another case and accents of another form match too.
    """
    names = _Names(photos)
    found = Matches({}, {}, [])
    for row in rows:
        candidates = names.find(row)
        if len(candidates) != 1:
            reason = "several files of that name" if candidates else "no such file in the zip"
            found.missing.append((row.filename, f"{row.table}: {reason}"))
            continue
        [photo] = candidates
        label = (row.label, SPLIT_NAMES.get(row.split))
        if row.split and row.split not in SPLIT_NAMES:
            found.conflicts[photo] = f"unknown split {row.split!r} in {row.table}"
        if not row.label:
            found.conflicts[photo] = f"empty label in {row.table}"
        elif found.labels.setdefault(photo, label) != label:
            found.conflicts[photo] = f"two different rows in {row.table}"
    return found


class _Names:
    """Finds photographs by the whole or the end of their path."""

    def __init__(self, photos: Sequence[str]) -> None:
        self._parts = {photo: PurePosixPath(photo).parts for photo in set(photos)}
        # {(number of parts, folded or not): {end of the path: photographs}}, made when first asked for.
        self._ends: dict[tuple[int, bool], dict[str, list[str]]] = {}

    def find(self, row: Row) -> list[str]:
        beside = str(PurePosixPath(row.table).parent / row.filename)
        for folded in (False, True):
            ends = [self._ending(name, folded) for name in (row.filename, beside)]
            wanted = [_fold(name) if folded else name for name in (row.filename, beside)]
            for name, photos in zip(wanted, ends, strict=True):
                whole = [photo for photo in photos if (_fold(photo) if folded else photo) == name]
                if whole:
                    return whole
            if ends[0]:
                return ends[0]
        return []

    def _ending(self, name: str, folded: bool) -> list[str]:
        length = len(PurePosixPath(name).parts)
        if (length, folded) not in self._ends:
            by_end: dict[str, list[str]] = {}
            for photo, parts in self._parts.items():
                end = "/".join(parts[-length:]) if length <= len(parts) else ""
                by_end.setdefault(_fold(end) if folded else end, []).append(photo)
            self._ends[length, folded] = by_end
        return self._ends[length, folded].get(_fold(name) if folded else name, []) if length else []


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
