"""What the columns of one table say: which photographs its rows are about, their labels, splits and groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import columns, matching
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.records import SEVERAL
from butterflyer_jax.errors import UserError

# Rows looked at to find the column that names photographs.
SAMPLE_ROWS = 300
# Share of these that must name one, in a column of an unusual name.
MIN_SHARE = 0.5
# A sparse column beside a full one is a remark.
MIN_COVERAGE = 0.8
SHOWN_COLUMNS = 8
# A label of which no row shares the value is none, from this many rows on.
MIN_UNIQUE_ROWS = 10
NONE = "none"
_IS_SPLIT = re.compile(r"is(train|training|val|valid|validation|test|testing)(?:image|img|set)?")


@dataclass(frozen=True)
class Options:
    """What a user says of tables: names of files and columns, "" for what is to be found."""

    table: str = ""
    file_column: str = ""
    label_column: str = ""
    group_column: str = ""
    split_column: str = ""


@dataclass
class Meaning:
    """One table, understood.

    Attributes:
      table: as it was read.
      file_column: the column that names photographs.
      photos: for each row the photographs that it may mean.
      label_name: the columns of the label, as the file spells them; "" where it has none.
      labels: for each row its label, "" for none; [] where the table has none.
      ranks: for each row the names above the species, outermost first.
      splits: for each row train, val, test, "" for none, or the unknown word.
      groups: for each row the values of the group columns.
      group_names: the group columns.
      split_name: the split column, or the file's name where that names it.
      notes: what a user should know.
    """

    table: Table
    file_column: int
    photos: list[list[str]]
    label_name: str = ""
    labels: list[str] = field(default_factory=list)
    ranks: list[tuple[str, ...]] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    groups: list[tuple[str, ...]] = field(default_factory=list)
    group_names: tuple[str, ...] = ()
    split_name: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """The table and the columns that were read, for a user."""
        return f"{self.table.name} ({self.table.columns[self.file_column]}, {self.label_name})"


def understand(
    table: Table, names: PhotoNames, split_of: Callable[[str], str | None], options: Options
) -> Meaning | None:
    """Returns what a table says, None where no column names photographs.

    Args:
      table: any.
      names: the photographs.
      split_of: the split that the folders give a photograph.
      options: what the user says.

    Raises:
      UserError: two readings of a table, or a column that is not there.
    """
    if not table.rows and columns.named(table, columns.FILE) and columns.named(table, columns.LABEL):
        raise UserError(f"{table.name} in the zip has the columns of a label file, but no rows")
    file_column = _file_column(table, names, options)
    if file_column is None:
        return None
    _check_width(table)
    meaning = Meaning(table, file_column, [])
    _read_splits(meaning, options)
    _match(meaning, names, split_of)
    _read_labels(meaning, options)
    _read_groups(meaning, options)
    return meaning


def _check_width(table: Table) -> None:
    """Raises a UserError where most rows have more cells than the header: it is not clear which column is which."""
    named = len(table.columns)
    while named and not table.columns[named - 1]:
        named -= 1
    longer = [row for row in table.rows if any(row[named:])]
    if 2 * len(longer) > len(table.rows):
        raise UserError(
            f"{table.name} in the zip has a header of {named} columns, and rows of more cells, like "
            f"{', '.join(filter(None, longer[0]))!r}: name each column, and put quotes around cells with a delimiter"
        )


def describe_columns(table: Table) -> str:
    """Returns the first columns of a table, for a user."""
    shown = ", ".join(column or "(no name)" for column in table.columns[:SHOWN_COLUMNS])
    return shown + (", …" if len(table.columns) > SHOWN_COLUMNS else "")


def _file_column(table: Table, names: PhotoNames, options: Options) -> int | None:
    if options.file_column:
        return table.column(options.file_column)
    if not table.rows:
        return None
    step = max(1, len(table.rows) // SAMPLE_ROWS)
    sample = table.rows[::step][:SAMPLE_ROWS]
    known = columns.named(table, columns.FILE)
    hits: dict[int, list[tuple[str, ...]]] = {}
    for column in range(len(table.columns)):
        # A number may be anything: it names a photograph in a column that says so.
        if column not in known and _is_numbers(table, column):
            continue
        cells = [row[column] for row in sample]
        prefix = matching.common_prefix(cells)
        found = [tuple(sorted(names.find(cell, table.name, prefix))) for cell in cells]
        matched = sum(map(bool, found))
        if matched and (column in known or matched >= MIN_SHARE * len(cells)):
            hits[column] = found
    if not hits:
        return None

    def score(column: int) -> int:
        return len({photos for photos in hits[column] if photos})

    most = max(map(score, hits))
    good = [column for column in known if column in hits and 2 * score(column) >= most]
    if not good:
        return min(hits, key=lambda column: (-score(column), column))
    # A number may be a row's as well as a file's: a name is what is meant.
    chosen, *others = [column for column in good if not _is_numbers(table, column)] or good
    for other in others:
        if any(one and two and one != two for one, two in zip(hits[chosen], hits[other], strict=True)):
            raise UserError(
                f"{table.name} names photographs in its columns {table.columns[chosen]} and {table.columns[other]}, "
                "and not the same ones: choose one with build.file_column"
            )
    return chosen


def _is_numbers(table: Table, column: int) -> bool:
    return all(value.isdigit() for value in table.values(column) if value)


def _match(meaning: Meaning, names: PhotoNames, split_of: Callable[[str], str | None]) -> None:
    table = meaning.table
    cells = table.values(meaning.file_column)
    prefix = matching.common_prefix(cells)
    parent = PurePosixPath(table.name.partition("[")[0]).parent
    for row, cell in enumerate(cells):
        found = names.find(cell, table.name, prefix)
        split = meaning.splits[row] if meaning.splits else ""
        path_split = next((s for part in matching.spelt(cell).split("/")[:-1] if (s := words.split_of(part))), None)
        if path_split:
            found = [photo for photo in found if split_of(photo) in (None, path_split)]
        if len(found) > 1:
            found = matching.narrowed(
                found,
                (
                    lambda photo, split=split: bool(split) and split_of(photo) == split,  # type: ignore[misc]
                    lambda photo: parent in PurePosixPath(photo).parents and str(parent) != ".",
                ),
            )
        meaning.photos.append(found)


def _rows_used(meaning: Meaning) -> list[int]:
    return [row for row, photos in enumerate(meaning.photos) if photos] or list(range(len(meaning.photos)))


def _read_labels(meaning: Meaning, options: Options) -> None:
    table = meaning.table
    if options.label_column:
        column = table.column(options.label_column)
        if column is not None:
            _set_label(meaning, [column])
        return
    rows = _rows_used(meaning)
    spelt = [words.squeeze(name) for name in table.columns]
    taken = {
        meaning.file_column,
        *(n for n, name in enumerate(table.columns) if name and name in (meaning.split_name, *meaning.group_names)),
    }
    candidates = [column for column in columns.named(table, columns.LABEL) if column not in taken]
    genus = next(iter(columns.named(table, ["genus"])), None)
    if sum(name in columns.RANKS for name in spelt) > 1:
        # Of a taxonomy; the class of all butterflies is Insecta.
        candidates = [c for c in candidates if spelt[c] != "class"] or candidates
    filled = {c: sum(not columns.is_blank(table.rows[row][c]) for row in rows) for c in candidates}
    most = max(filled.values(), default=0)
    candidates = [c for c in candidates if filled[c] >= MIN_COVERAGE * most and filled[c]]
    varied = [
        c
        for c in candidates
        if len({table.rows[row][c] for row in rows if not columns.is_blank(table.rows[row][c])}) > 1
    ]
    if not (varied or candidates):
        if one_hot := columns.one_hot(table, meaning.file_column):
            _set_one_hot(meaning, one_hot)
        return
    candidates = varied or candidates[:1]
    readings: list[list[int]] = []
    for column in candidates:
        same = next((reading for reading in readings if _agree(table, rows, reading[0], column)), None)
        if same is None:
            readings.append([column])
        else:
            same.append(column)
    if len(readings) > 1:
        shown = " or ".join(
            f"{table.columns[reading[0]]} ({_first_values(table, rows, reading[0])})" for reading in readings[:3]
        )
        raise UserError(f"the label may be {shown} in {table.name}: choose one with build.label_column")
    if len(rows) >= MIN_UNIQUE_ROWS and _is_unique(table, rows, readings[0][0]):
        # Another value in each row: names of photographs, or remarks.
        return
    best = min(
        readings[0], key=lambda column: (_is_numbers(table, column), _is_code(spelt[column]), readings[0].index(column))
    )
    if (
        genus is not None
        and genus not in taken
        and spelt[best] in columns.EPITHETS
        and _are_epithets(table, rows, best)
    ):
        _set_label(meaning, [genus, best])
    else:
        _set_label(meaning, [best])


def _is_unique(table: Table, rows: Sequence[int], column: int) -> bool:
    values = [value for row in rows if not columns.is_blank(value := table.rows[row][column])]
    return len(set(values)) == len(values)


def _is_code(spelt: str) -> bool:
    return spelt in columns.NUMBER_LABELS


def _agree(table: Table, rows: Sequence[int], one: int, other: int) -> bool:
    """Returns whether two columns part the rows in the same way."""
    pairs = {(words.plain(table.rows[row][one]), words.plain(table.rows[row][other])) for row in rows}
    pairs = {pair for pair in pairs if not any(map(columns.is_blank, pair))}
    return bool(pairs) and len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs})


def _first_values(table: Table, rows: Sequence[int], column: int) -> str:
    return ", ".join(list(dict.fromkeys(table.rows[row][column] for row in rows if table.rows[row][column]))[:3])


def _are_epithets(table: Table, rows: Sequence[int], column: int) -> bool:
    values = {table.rows[row][column] for row in rows} - {""}
    return all(re.fullmatch(r"[a-z][a-z-]+", value) for value in values)


def _set_label(meaning: Meaning, chosen: Sequence[int]) -> None:
    table = meaning.table
    for column in chosen:
        if table.columns.count(table.columns[column]) > 1:
            raise UserError(f"{table.name} in the zip has several columns {table.columns[column]}: leave one")
    meaning.label_name = " ".join(table.columns[column] for column in chosen)
    spelt = [words.squeeze(name) for name in table.columns]
    above = [
        spelt.index(rank)
        for rank in columns.RANKS
        if rank in spelt and spelt.index(rank) not in (*chosen, meaning.file_column)
    ]
    single = {words.plain(row[chosen[-1]]) for row in table.rows}
    for row in table.rows:
        cells = [row[column] for column in chosen]
        blank = columns.is_blank(cells[-1])
        label = SEVERAL if _are_several(cells[-1], single) else words.plain(" ".join(cells))
        meaning.labels.append("" if blank else label)
        meaning.ranks.append(tuple(words.plain(row[column]) for column in above if not columns.is_blank(row[column])))


def _are_several(cell: str, single: Collection[str]) -> bool:
    """Returns whether a cell names several classes; a comma may stand in a name as well."""
    for delimiter in "|;,":
        parts = {words.plain(part) for part in cell.split(delimiter)} - {""}
        if len(parts) > 1 and (delimiter != "," or all(part in single for part in parts)):
            return True
    return False


def _set_one_hot(meaning: Meaning, classes: Sequence[int]) -> None:
    table = meaning.table
    meaning.label_name = f"a column a class: {table.columns[classes[0]]}, …"
    names = [table.columns[column] for column in classes]
    for row in table.rows:
        ones = [column for column in classes if columns.is_one(row[column])]
        label = words.plain(columns.class_of(table.columns[ones[0]], names)) if len(ones) == 1 else ""
        meaning.labels.append(SEVERAL if len(ones) > 1 else label)
    meaning.ranks = [()] * len(table.rows)


def _read_splits(meaning: Meaning, options: Options) -> None:
    table = meaning.table
    file, _, part = table.name.partition("[")
    by_file = words.split_of(part.rstrip("]")) or words.split_of_table(PurePosixPath(file).stem) or ""
    if options.split_column in (NONE, "folder"):
        meaning.splits = [""] * len(table.rows)
        return
    column = table.column(options.split_column) if options.split_column else _split_column(meaning)
    if column is not None:
        meaning.split_name = table.columns[column]
        bits = _IS_SPLIT.fullmatch(words.squeeze(table.columns[column]))
        meaning.splits = [_split_value(row[column], bits[1] if bits else "") or by_file for row in table.rows]
    else:
        meaning.splits = [by_file] * len(table.rows)
        meaning.split_name = f"the name {table.name}" if by_file else ""


def _split_column(meaning: Meaning) -> int | None:
    table = meaning.table
    for column in columns.named(table, columns.SPLIT):
        values = Counter(value.strip() for value in table.values(column) if not columns.is_blank(value))
        known = sum(number for value, number in values.items() if words.split_of(value))
        if 2 * known > values.total() or (words.squeeze(table.columns[column]) == "split" and known):
            return column
        if values and words.squeeze(table.columns[column]) in ("split", "fold", "subset"):
            shown = ", ".join(sorted(values)[:3])
            meaning.notes.append(
                f"the column {table.columns[column]} of {table.name} ({shown}) names no splits, and is not used"
            )
    for column, name in enumerate(table.columns):
        if _IS_SPLIT.fullmatch(words.squeeze(name)) and set(table.values(column)) <= {
            "0",
            "1",
            "True",
            "False",
            "true",
            "false",
            "",
        }:
            return column
    return None


def _split_value(cell: str, bits: str) -> str:
    """Returns the split that a cell names; the word itself, in small letters, where it names none."""
    if not bits:
        return "" if columns.is_blank(cell) else words.split_of(cell) or cell.strip().casefold()
    split = words.split_of(bits) or ""
    if cell in ("1", "True", "true"):
        return split
    return "" if split == "val" or not cell else "test" if split == "train" else "train"


def _read_groups(meaning: Meaning, options: Options) -> None:
    table = meaning.table
    chosen: list[int] = []
    if options.group_column == NONE:
        return
    if options.group_column:
        asked = [table.column(name.strip()) for name in options.group_column.split(",")]
        chosen = [column for column in asked if column is not None]
    else:
        label = [column for column, name in enumerate(table.columns) if name and name == meaning.label_name]
        for column in columns.named(table, columns.GROUP):
            values = [value for value in table.values(column) if not columns.is_blank(value)]
            several = any(len(photos) > 1 for photos in meaning.photos)
            repeats = 1 < len(set(values)) < len(values)
            if column not in label and (repeats if column != meaning.file_column else several):
                chosen.append(column)
        several = any(len(photos) > 1 for photos in meaning.photos)
        by_number = several and all("." not in cell for cell in table.values(meaning.file_column))
        if by_number and meaning.file_column not in chosen:
            chosen.append(meaning.file_column)
    meaning.group_names = tuple(table.columns[column] for column in chosen)
    meaning.groups = [tuple("" if columns.is_blank(row[c]) else row[c] for c in chosen) for row in table.rows]
