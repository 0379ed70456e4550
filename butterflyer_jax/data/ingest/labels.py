"""Labels in CSV files of a zip: which row is about which photograph."""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest.split import SPLIT_NAMES
from butterflyer_jax.errors import UserError

MAX_HEADER_BYTES = 64 << 10
# A table of a million photographs takes half of it.
MAX_TABLE_BYTES = 128 << 20
# A table may be of a larger collection than the zip, within reason.
ROWS_PER_FILE = 10


@dataclass(frozen=True, slots=True)
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


def read_rows(archive: zipfile.ZipFile, tables: Mapping[str, zipfile.ZipInfo]) -> list[Row]:
    """Returns the rows of every CSV with the columns filename and label; others are no label files.

    Raises:
      UserError: a CSV cannot be read, or is a label file without rows.
    """
    max_rows = ROWS_PER_FILE * len(archive.filelist) + 1000
    rows = []
    for name, info in tables.items():
        try:
            with archive.open(info) as file:
                data = file.read(MAX_HEADER_BYTES)
                if not {"filename", "label"} <= set(open_table(decode(data, "replace"))[0]):
                    continue
                data += file.read(MAX_TABLE_BYTES)
            if len(data) > MAX_TABLE_BYTES:
                raise UserError(f"{name} in the zip is too large: more than {MAX_TABLE_BYTES >> 20} MiB")
            rows += _parse(name, decode(data), max_rows)
        except UserError:
            raise
        except Exception as error:
            # Each way to pack has errors of its own for damaged data, and so have CSV and UTF-8.
            raise UserError(
                f"cannot read {name} in the zip (a CSV in UTF-8 is wanted): {str(error) or type(error).__name__}"
            ) from error
    return rows


def decode(data: bytes, errors: str = "strict") -> str:
    """Returns the text of a CSV, in UTF-8 or UTF-16 with its mark."""
    # Excel's "Unicode text" is UTF-16.
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return data.decode(encoding, errors)


def open_table(text: str) -> tuple[list[str], csv.DictReader[str]]:
    """Returns the names of a CSV's columns in lower case, and the reader of its rows by these names."""
    # Line ends of every system.
    lines = io.StringIO(text, newline=None)
    delimiter = max(",;\t", key=lines.readline().count)
    lines.seek(0)
    header = next(csv.reader(lines, delimiter=delimiter), [])
    columns = [column.strip().lower() for column in header]
    return columns, csv.DictReader(lines, columns, delimiter=delimiter)


def _parse(table: str, text: str, max_rows: int) -> list[Row]:
    columns, reader = open_table(text)
    doubled = [name for name in ("filename", "label", "split") if columns.count(name) > 1]
    if doubled:
        raise UserError(f"{table} in the zip has several columns {doubled[0]}: leave one")
    stem = PurePosixPath(table).stem.lower()
    split_of_table = stem if stem in SPLIT_NAMES else ""
    rows = []
    for line in reader:
        filename, label, split = ((line.get(name) or "").strip() for name in ("filename", "label", "split"))
        if not (filename or label):
            continue
        rows.append(Row(spelt(filename), plain(label), split.lower() or split_of_table, table))
        if len(rows) > max_rows:
            raise UserError(f"{table} in the zip has more than {max_rows} rows, far more than there are files")
    if not rows:
        raise UserError(f"{table} in the zip has the columns of a label file, but no rows")
    return rows


def spelt(filename: str) -> str:
    """Returns a path of a CSV as paths of a zip are spelt."""
    return filename.replace("\\", "/").removeprefix("./")


def match(rows: Sequence[Row], photos: Sequence[str]) -> Matches:
    """Joins rows with photographs: by path, by path beside the CSV, else by the end of a path that stands once.

    Where nothing is spelt so exactly, letters of another case and accents of another form match too.
    """
    names = Names(photos)
    found = Matches({}, {}, [])
    for row in rows:
        candidates = names.find(row.filename, row.table)
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


class Names:
    """Finds photographs by the whole or the end of their path."""

    def __init__(self, photos: Sequence[str]) -> None:
        self._parts = {photo: PurePosixPath(photo).parts for photo in set(photos)}
        # {(number of parts or 0 for all, folded or not): {end of the path: photographs}}, made when first asked for.
        self._ends: dict[tuple[int, bool], dict[str, list[str]]] = {}

    def find(self, filename: str, table: str = "") -> list[str]:
        """Returns the photographs that a row of a CSV may mean: none, the one, or several that end alike.

        Args:
          filename: as the row spells it.
          table: path of the CSV where it lies among them.
        """
        if not filename:
            return []
        beside = str(PurePosixPath(table).parent / filename)
        for folded in (False, True):
            for name, length in ((filename, 0), (beside, 0), (filename, len(PurePosixPath(filename).parts))):
                found = self._ending(length, folded).get(_fold(name) if folded else name)
                if found:
                    return found
        return []

    def _ending(self, length: int, folded: bool) -> dict[str, list[str]]:
        if (length, folded) not in self._ends:
            by_end: dict[str, list[str]] = {}
            for photo, parts in self._parts.items():
                if length <= len(parts):
                    end = "/".join(parts[-length:]) if length else photo
                    by_end.setdefault(_fold(end) if folded else end, []).append(photo)
            self._ends[length, folded] = by_end
        return self._ends[length, folded]


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
