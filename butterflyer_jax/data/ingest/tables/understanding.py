"""Interpretation of one table: the photos of its rows, their labels, splits and groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import (
    boxes,
    class_names,
    columns,
    file_column,
    footer,
    label_column,
    several_photos,
)
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.meaning import NONE, Meaning, Options
from butterflyer_jax.errors import UserError

_IS_SPLIT = re.compile(r"is(train|training|val|valid|validation|test|testing)(?:image|img|set)?")


def understand(
    table: Table, names: PhotoNames, split_of: Callable[[str], str | None], options: Options
) -> Meaning | None:
    """Returns the meaning of a table, None where no column names photos.

    Args:
      table: table of the collection.
      names: the photos.
      split_of: returns the split of a photo by its folders.
      options: the user's choices.

    Raises:
      UserError: a table has two readings, or a chosen column is missing.
    """
    if not table.rows and columns.named(table, columns.FILE) and columns.named(table, columns.LABEL):
        raise UserError(f"{table.name} has the columns of a label file, but no rows")
    if not options.file_column and class_names.is_list(table) and not file_column.names_files(table, names):
        # Its numbers may also be those of photos.
        return None
    if meaning := _of_folders(table, names, options):
        return meaning
    given = table
    table, column = _photo_column(table, names, options)
    unfolded = table is not given
    if column is None:
        return None
    file_column.check_width(table)
    table, footer_note = footer.without(table, column, lambda cell: names.find(cell, table.name))
    meaning = Meaning(table, column, [], notes=[footer_note] if footer_note else [])
    _read_splits(meaning, options)
    file_column.match(meaning, names, split_of)
    label_column.read(meaning, options)
    _read_groups(meaning, options)
    # Of a row of several photos nobody knows whose box it is.
    meaning.boxes, note = boxes.read(table, options.box_format) if not unfolded else ([], "")
    meaning.notes += [note] if note else []
    return meaning


def _photo_column(table: Table, names: PhotoNames, options: Options) -> tuple[Table, int | None]:
    """Returns the column that names photos, and the table, with one photo per row where rows name several."""
    chosen = table.listed(options.file_column)
    if not options.file_column:
        column = file_column.find(table, names)
        lists = several_photos.lists_of_photos(table, names)
        chosen = lists[:1] if lists and column in (None, *lists) else [] if column is None else [column]
    if len(chosen) > 1 or several_photos.lists_of_photos(table, names, chosen):
        table = several_photos.unfold(table, chosen, names)
    return table, chosen[0] if chosen else None


def _of_folders(table: Table, names: PhotoNames, options: Options) -> Meaning | None:
    """Returns the meaning of a table of specimens or observations, whose rows name folders; None for other tables.

    Several rows have the same label: a table with one row per class is a list of classes.
    """
    known = table.listed(options.file_column) if options.file_column else columns.named(table, columns.FOLDER)
    column = file_column.find_folders(table, names, known)
    if column is None:
        return None
    meaning = Meaning(table, column, [names.in_folder(cell) for cell in table.values(column)])
    label_column.read(meaning, options)
    labels = [label for label in meaning.labels if label]
    several = any(len(photos) > 1 for photos in meaning.photos)
    if not 1 < len(set(labels)) < len(labels) or (not several and _name_files(table, names, column)):
        return None
    _read_splits(meaning, options)
    _read_groups(meaning, options)
    meaning.of_folders = True
    return meaning


def _name_files(table: Table, names: PhotoNames, column: int) -> bool:
    """Returns whether most cells of a column also name a file."""
    cells = table.values(column)
    return 2 * sum(len(names.find(cell, table.name)) == 1 for cell in cells) > len(cells)


def _read_splits(meaning: Meaning, options: Options) -> None:
    table = meaning.table
    file, _, part = table.name.partition("[")
    by_file = words.split_of(part.rstrip("]")) or words.split_of_table(PurePosixPath(file).stem) or ""
    if options.split_column in (NONE, "folder"):
        meaning.splits = [""] * len(table.rows)
        return
    column = table.column(options.split_column) if options.split_column else _split_column(meaning)
    if column is None and not table.header:
        # TRAIN,gs://bucket/0.jpg,Monarch: a list for AutoML.
        column = next((n for n in range(len(table.columns)) if _are_splits(table.values(n))), None)
    if column is not None:
        meaning.split_name = table.columns[column]
        bits = _IS_SPLIT.fullmatch(words.squeeze(table.columns[column]))
        meaning.splits = [_split_value(row[column], bits[1] if bits else "") or by_file for row in table.rows]
    else:
        meaning.splits = [by_file] * len(table.rows)
        meaning.split_name = f"the name {table.name}" if by_file else ""


def _are_splits(cells: Sequence[str]) -> bool:
    """Returns whether all cells name a split, or say that there is none."""
    known = [cell for cell in cells if not _is_unassigned(cell)]
    return bool(known) and all(map(words.split_of, known))


def _is_unassigned(cell: str) -> bool:
    """Returns whether a cell leaves the split to the program that reads it, as UNASSIGNED of AutoML does."""
    return columns.is_blank(cell) or words.squeeze(cell) in ("unassigned", "auto", "random")


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
    for column, name in enumerate(table.columns):
        # Under any name, such as "type" or "purpose", with train and test in all rows.
        distinct = {value for value in table.values(column) if not columns.is_blank(value)}
        if (
            name
            and len({words.split_of(value) for value in distinct} - {None}) > 1
            and all(map(words.split_of, distinct))
        ):
            return column
    return None


def _split_value(cell: str, bits: str) -> str:
    """Returns the split named by a cell, or the cell's text in lower case where it names none."""
    if not bits:
        return "" if _is_unassigned(cell) else words.split_of(cell) or cell.strip().casefold()
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
        chosen = table.listed(options.group_column)
    else:
        label = [column for column, name in enumerate(table.columns) if name and name == meaning.label_name]
        for column in columns.named(table, columns.GROUP):
            values = [value for value in table.values(column) if not columns.is_blank(value)]
            several = any(len(photos) > 1 for photos in meaning.photos)
            repeats = 1 < len(set(values)) < len(values)
            if (
                column not in label
                and table.columns[column] != meaning.split_name
                and (repeats if column != meaning.file_column else several)
            ):
                chosen.append(column)
        several = any(len(photos) > 1 for photos in meaning.photos)
        by_number = several and all("." not in cell for cell in table.values(meaning.file_column))
        if by_number and meaning.file_column not in chosen:
            chosen.append(meaning.file_column)
    meaning.group_names = tuple(table.columns[column] for column in chosen)
    meaning.groups = [tuple("" if columns.is_blank(row[c]) else row[c] for c in chosen) for row in table.rows]
