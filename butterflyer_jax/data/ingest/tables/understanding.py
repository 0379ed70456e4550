"""Interpretation of one table: the photos of its rows, their labels, splits and groups."""

from __future__ import annotations

from collections.abc import Callable

from butterflyer_jax.data.ingest.tables import (
    boxes,
    class_names,
    columns,
    file_column,
    footer,
    label_column,
    row_flags,
    several_photos,
    split_columns,
)
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.meaning import NONE, Meaning, Options
from butterflyer_jax.errors import UserError


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
    split_columns.read(meaning, options)
    file_column.match(meaning, names, split_of)
    if options.file_column and not unfolded:
        meaning.elsewhere = file_column.named_elsewhere(given, names, column)
    label_column.read(meaning, options)
    _read_groups(meaning, options)
    if meaning.labels:
        meaning.notes += row_flags.notes(table)
        row_flags.mark_several(meaning)
        row_flags.mark(meaning)
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
    split_columns.read(meaning, options)
    _read_groups(meaning, options)
    meaning.of_folders = True
    return meaning


def _name_files(table: Table, names: PhotoNames, column: int) -> bool:
    """Returns whether most cells of a column also name a file."""
    cells = table.values(column)
    return 2 * sum(len(names.find(cell, table.name)) == 1 for cell in cells) > len(cells)


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
