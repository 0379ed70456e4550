"""Reader of the tables of a collection, recognised by their content."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import cells, columns, cub, name_lists, records, sidecars, text, xml_files
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.matching import PhotoNames, spelt
from butterflyer_jax.errors import UserError

TEXT_SUFFIXES = frozenset([".csv", ".tsv", ".tab", ".txt", ".psv", ".dat", ".lst", ".list", ".text", ""])
JSON_LINES = frozenset([".jsonl", ".ndjson", ".jsonlines", ".manifest"])
# The last are those of Edge Impulse: info.labels.
JSON_SUFFIXES = JSON_LINES | {".json", ".geojson", ".labels"}
PROSE_SUFFIXES = frozenset([".md", ".markdown", ".rst"])
SUFFIXES = (
    TEXT_SUFFIXES | JSON_SUFFIXES | PROSE_SUFFIXES | {".xlsx", ".xlsm", ".yaml", ".yml", ".names", ".pbtxt", ".xml"}
)
MAX_PROSE_BYTES = 1 << 20
# Table formats that are reported but not read, by suffix.
UNREAD = {
    ".xls": "an old Excel file", ".xlsb": "a binary Excel file", ".ods": "an OpenDocument spreadsheet",
    ".numbers": "a Numbers spreadsheet", ".parquet": "a Parquet file", ".feather": "a Feather file",
    ".arrow": "an Arrow file", ".sqlite": "a database", ".sqlite3": "a database", ".db": "a database",
    ".mdb": "an Access database", ".accdb": "an Access database", ".dbf": "a dBase file", ".mat": "a MATLAB file",
    ".rds": "an R file", ".rdata": "an R file", ".sav": "an SPSS file", ".dta": "a Stata file", ".pkl": "a pickle",
    ".pickle": "a pickle", ".xml": "an XML file",
    ".gpkg": "a GeoPackage", ".arff": "an ARFF file",
}  # fmt: skip
# Documents that are reported where their name says that they list species.
DOCUMENTS = {
    ".pdf": "a PDF file", ".docx": "a Word document", ".doc": "a Word document", ".odt": "an OpenDocument text",
    ".rtf": "a document", ".html": "a web page", ".htm": "a web page",
}  # fmt: skip
_LISTS = re.compile(r"label|class|species|list|annot|taxa|names|art(?:en)?liste", re.IGNORECASE)
# In the results of MegaDetector: animal, person, vehicle.
_OF_DETECTOR = '"detection_categories"'
_LFS = b"version https://git-lfs"
# A table of a million photos takes half of this.
MAX_TABLE_BYTES = 128 << 20
# A table may cover a larger collection than the zip, by at most this factor.
ROWS_PER_PHOTO = 10
MAX_SAMPLE = 50
# Value in `Found.unread` for a text of another kind.
NO_TABLE = "no table"
_PROSE = re.compile(r"licen[cs]e|copying|changelog|notice|citation", re.IGNORECASE)
_README = re.compile(r"(?:metadata_)?readme.*|.*\.(?:md|markdown|rst)", re.IGNORECASE)


@dataclass
class Found:
    """Content of the table files of a collection.

    Attributes:
      tables: tables with two or more columns, and lists of photos with one.
      class_lists: lists of classes, by file.
      texts: texts for people, such as a README, by file.
      unread: files that are neither, with the reasons.
      annotations: files that annotate one photo each.
    """

    tables: list[Table] = field(default_factory=list)
    class_lists: dict[str, name_lists.NameList] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    annotations: set[str] = field(default_factory=set)


def read_tables(
    sizes: Mapping[str, int], read: Callable[[str, int], bytes], photos: PhotoNames, paths: Iterable[str], encoding: str
) -> Found:
    """Reads every file that may be a table.

    Args:
      sizes: size of each file by path, bytes.
      read: returns the first bytes of a file, given its path and their number.
      photos: photos of the collection.
      paths: paths of the photos; a text named like one of them annotates that photo.
      encoding: code page of tables that do not state theirs; "" to detect it.

    Raises:
      UserError: a table with label columns cannot be read.
    """
    found = Found()
    paths = list(paths)
    beside = {path.rpartition(".")[0] for path in paths}
    pairs = sidecars.pair((name for name, size in sizes.items() if size <= sidecars.MAX_BYTES), paths)
    found.tables = sidecars.read(
        pairs, lambda name: text.decode(read(name, sidecars.MAX_BYTES), name, encoding), found.annotations
    )
    for name in sorted(sizes):
        path = PurePosixPath(name)
        if path.suffix.lower() not in (".csv", ".xlsx") and str(path.with_suffix("")) in beside:
            continue
        if _PROSE.match(path.name):
            continue
        if _README.fullmatch(path.name):
            with contextlib.suppress(Exception):
                # Each compression method raises its own errors for damaged data; a file that is no text is skipped.
                found.texts[name] = text.decode(read(name, MAX_PROSE_BYTES), name, encoding)
                of_photos = _in_markdown(name, found.texts[name], photos)
                found.tables += of_photos
            continue
        if name in pairs or path.suffix.lower() not in SUFFIXES:
            continue
        try:
            _read(name, sizes[name], read, photos, encoding, found)
        except UserError:
            raise
        except Exception as error:
            # Each compression method raises its own errors for damaged data, and so do CSV, JSON and spreadsheets.
            reason = " ".join(str(error).split()) or type(error).__name__
            if path.suffix.lower() in (".csv", ".tsv", ".xlsx", ".jsonl"):
                raise UserError(
                    f"cannot read {name}: {reason}; correct it, or leave it out with build.ignore"
                ) from error
            found.unread[name] = reason
    found.tables = cub.join(found.tables)
    # "1.jpg.json" may be anything that a program says about 1.jpg, as Takeout does.
    if other := [name for name in sorted(pairs.keys() - found.annotations) if not sidecars.names_a_photo(name)]:
        found.unread[other[0] if len(other) == 1 else f"{len(other):,} files like {other[0]}"] = (
            "about one photo each, in no form that is known (YOLO, Pascal VOC, labelme)"
        )
    return found


def _read(
    name: str, size: int, read: Callable[[str, int], bytes], photos: PhotoNames, encoding: str, found: Found
) -> None:
    suffix = PurePosixPath(name).suffix.lower()
    if size > MAX_TABLE_BYTES:
        raise UserError(f"{name} is too large: more than {MAX_TABLE_BYTES >> 20} MiB; leave it out with build.ignore")
    data = read(name, MAX_TABLE_BYTES + 1)
    if len(data) > MAX_TABLE_BYTES:
        raise UserError(f"{name} is too large: more than {MAX_TABLE_BYTES >> 20} MiB; leave it out with build.ignore")
    if data.startswith(_LFS):
        found.unread[name] = "a pointer of Git LFS, not the file itself: fetch that with git lfs pull"
        return
    tables: list[Table] = []
    content = ""
    if suffix in (".xlsx", ".xlsm"):
        sheets = records.from_xlsx(data, name)
        tables = [table for title, rows in sheets if (table := columns.make_table(title, rows, _Names(photos)))]
    else:
        content = text.decode(data, name, encoding)
        if listed := name_lists.parse(content, PurePosixPath(name)):
            found.class_lists[name] = listed
        if suffix in JSON_LINES:
            tables = records.from_json_lines(content, name)
        elif suffix == ".xml":
            tables = xml_files.tables_in(content, name)
            found.annotations |= {name} if tables else set()
        elif suffix in JSON_SUFFIXES and _OF_DETECTOR in content:
            found.unread[name] = "the boxes of a detector, which are not labels"
        elif suffix in JSON_SUFFIXES:
            tables = records.from_json(content, name, photos)
        elif suffix in TEXT_SUFFIXES:
            rows = text.parse(content, spaces=suffix != ".tsv")
            if _are_whole_paths(content.splitlines()[:MAX_SAMPLE], name, photos):
                # A path may contain a delimiter that would split the line elsewhere.
                lines = [line.strip() for line in content.splitlines() if line.strip()]
                head = [] if words.squeeze(lines[0]) in columns.FILE else ["column 1"]
                rows = [[line] for line in [*head, *lines]]
            table = columns.make_table(name, rows, _Names(photos), _number_photos(rows, name, photos))
            used = table and (len(table.columns) > 1 or _lists_photos(table.rows, name, photos))
            tables = [cells.expand(table)] if table and used else []
    found.tables += tables
    if not tables and name not in found.class_lists and name not in found.unread:
        found.unread[name] = NO_TABLE
        if suffix in (".yaml", ".yml") and _mentions_photos(content, photos):
            found.unread[name] = "a YAML file with photos is not read: save it as CSV"
        if suffix in TEXT_SUFFIXES and _mentions_photos(content, photos):
            found.unread[name] = "its lines name photos, but no delimiter (comma, semicolon, tab, |) cuts them"


def _in_markdown(name: str, content: str, photos: PhotoNames) -> list[Table]:
    """Returns the first table in a Markdown text that lists photos: a few rows show the form of another table."""
    tables = [table for rows in text.markdown_tables(content) if (table := columns.make_table(name, rows))]
    names = _Names(photos)
    return [
        table
        for table in tables
        if 2 * sum(any(columns.last_part(cell) in names for cell in row) for row in table.rows)
        > max(len(table.rows), len(photos))
    ][:1]


def why_unread(name: str) -> str:
    """Returns what a file is that may be a table and is not read; "" for other files."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    return UNREAD.get(suffix) or (DOCUMENTS.get(suffix, "") if _LISTS.search(path.stem) else "")


class _Names(Mapping[str, object]):
    """File names of photos, with their suffix, or with letters and digits: a number may also be a label."""

    def __init__(self, photos: PhotoNames) -> None:
        self._photos = photos

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        mixed = re.search(r"\d", name) and re.search(r"[^\W\d]", name)
        return ("." in name and name in self._photos) or (
            bool(mixed) and bool(self._photos.find(name, identifiers=False))
        )

    def __getitem__(self, name: str) -> object:
        raise KeyError(name)

    def __iter__(self) -> object:  # type: ignore[override]
        return iter(())

    def __len__(self) -> int:
        return 0


def _lists_photos(rows: Sequence[Sequence[str]], name: str, photos: PhotoNames) -> bool:
    return any(photos.find(row[0], name, identifiers=False) for row in rows[:MAX_SAMPLE])


def _number_photos(rows: Sequence[Sequence[str]], name: str, photos: PhotoNames) -> bool:
    """Returns whether rows, of which the first is no header, are numbers of photos, each with a label that repeats."""
    if len(rows) < 2 or any(len(row) != 2 or not row[0].isdigit() for row in rows):
        return False
    labels = {row[1] for row in rows}
    # 1 and -1 say whether a photo shows one class, in a list per class of Pascal VOC.
    repeat = len({row[0] for row in rows}) == len(rows) > len(labels) and "-1" not in labels
    return repeat and all(photos.find(row[0], name) for row in rows[:MAX_SAMPLE])


def _are_whole_paths(lines: Iterable[str], name: str, photos: PhotoNames) -> bool:
    """Returns whether most lines are paths of photos from their first letter on: "1,Monarch,/data/1.jpg" is none."""
    used = [line for line in lines if line.strip()]
    whole = 0
    for line in used:
        end = spelt(line).casefold()
        found = [photo.casefold() for photo in photos.find(line, name, identifiers=False)]
        whole += any(photo.endswith(end) or photo.rpartition(".")[0].endswith(end) for photo in found)
    return 2 * whole > len(used)


def _mentions_photos(content: str, photos: PhotoNames) -> bool:
    parts = (part for line in content.splitlines()[:MAX_SAMPLE] for part in re.split(r"[^\w./\\-]+", line))
    return any("." in part and columns.last_part(part) in photos for part in parts)


def check_rows(tables: Iterable[Table], num_photos: int) -> None:
    """Raises a UserError where a table with columns of labels and files is far larger than the collection."""
    most = ROWS_PER_PHOTO * num_photos + 1000
    for table in tables:
        if len(table.rows) > most and columns.named(table, columns.FILE) and columns.named(table, columns.LABEL):
            raise UserError(f"{table.name} has more than {most} rows, far more than there are files")


csv.field_size_limit(1 << 20)
