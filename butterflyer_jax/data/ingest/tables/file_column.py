"""The column that names photos, and the photos of each row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import boxes, columns, matching
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.meaning import Meaning
from butterflyer_jax.errors import UserError

# Number of rows examined to find the column that names photos.
SAMPLE_ROWS = 300
# Share of these rows that must name a photo, in a column with an unusual name.
MIN_SHARE = 0.5
# Share of the numbers in a column with an unusual name that must each name a photo of their own.
MIN_NUMBERS_SHARE = 0.9
# Share of rows that must name a folder in a table of folders.
MIN_FOLDER_SHARE = 0.9
_NUMBER = re.compile(r"-?\d+|-?\d*\.\d+(?:[eE][-+]?\d+)?")


def find(table: Table, names: PhotoNames) -> int | None:
    """Returns the index of the column that names photos, None for none.

    Raises:
      UserError: two columns name different photos.
    """
    if not table.rows:
        return None
    step = max(1, len(table.rows) // SAMPLE_ROWS)
    sample = table.rows[::step][:SAMPLE_ROWS]
    known = columns.named(table, columns.FILE)
    hits: dict[int, list[tuple[str, ...]]] = {}
    # A cell of a box that is no number does not make the column one of names.
    of_boxes = boxes.columns_of(table)
    for column in range(len(table.columns)):
        if column in of_boxes and column not in known:
            continue
        # A number may be anything: it names a photo only in a column with such a name.
        cells = [row[column] for row in sample]
        # In a list all are different, as in a table without a header whose other columns repeat.
        is_list = len(set(cells)) == len(cells) and (len(table.columns) == 1 or not (table.header or known))
        if column not in known and is_numbers(table, column) and not is_list:
            continue
        prefix = matching.common_prefix(cells)
        found = [tuple(sorted(names.find(cell, table.name, prefix))) for cell in cells]
        matched = sum(map(bool, found))
        if matched and (column in known or matched >= MIN_SHARE * len(cells)):
            hits[column] = found
    if not hits:
        return _numbers_of_photos(table, names)

    def score(column: int) -> int:
        return len({photos for photos in hits[column] if photos})

    most = max(map(score, hits))
    good = [column for column in known if column in hits and 2 * score(column) >= most]
    # A number may be that of a row or of a file: columns with names take precedence.
    good = [column for column in good if not is_numbers(table, column)] or good
    chosen = good[0] if good else min(hits, key=lambda column: (is_numbers(table, column), -score(column), column))
    of_labels = columns.named(table, columns.LABEL)
    different = [
        column
        for column in hits
        if (column in good or not (column in of_labels or is_numbers(table, column)))
        and _differ(hits[chosen], hits[column], 0 if column in good else MIN_SHARE if of_labels else 1)
    ]
    if different:
        shown = [table.columns[column] for column in (chosen, *different)]
        if len(set(shown)) < len(shown):
            raise UserError(f"{table.name} has several columns {shown[0]}, which name different photos: keep one")
        raise UserError(
            f"{table.name} names photos in its columns {' and '.join(shown)}, and not the same ones: "
            f"build.file_column={shown[0]} takes those of the first, build.file_column={','.join(shown)} takes all"
        )
    return chosen


def _numbers_of_photos(table: Table, names: PhotoNames) -> int | None:
    """Returns the only column of numbers, under any name, whose cells are those of photos and no numbers of rows."""
    found = []
    for column in range(len(table.columns)) if len(table.rows) > 1 else ():
        cells = table.values(column)
        if len(set(cells)) < len(cells) or not all(map(str.isdigit, cells)):
            continue
        numbers = sorted(map(int, cells))
        if numbers[0] < 2 and numbers[-1] - numbers[0] < len(numbers):
            continue
        matched = {photos[0] for cell in cells if len(photos := names.find(cell, table.name)) == 1}
        if len(matched) >= MIN_NUMBERS_SHARE * len(cells) and 2 * len(matched) >= len(names):
            found.append(column)
    return found[0] if len(found) == 1 else None


def _differ(one: Sequence[tuple[str, ...]], other: Sequence[tuple[str, ...]], share: float) -> bool:
    """Returns whether two columns name different photos in more than this share of the rows."""
    return sum(bool(mine and theirs and mine != theirs) for mine, theirs in zip(one, other, strict=True)) > share * len(
        one
    )


def names_files(table: Table, names: PhotoNames) -> bool:
    """Returns whether a column holds file names, with their suffixes, most of which are those of photos."""
    return any(
        2 * sum("." in cell and bool(names.find(cell, table.name, identifiers=False)) for cell in cells) > len(cells)
        for cells in map(table.values, range(len(table.columns)))
    )


def find_folders(table: Table, names: PhotoNames, among: Sequence[int]) -> int | None:
    """Returns the index of the column that names folders of photos, as in a table of specimens; None for none.

    Nearly all of its cells name a folder, each a different one.
    """
    for column in among:
        cells = [cell for cell in table.values(column) if cell.strip()]
        found = sum(bool(names.in_folder(cell)) for cell in cells)
        if len(cells) > 1 and len(set(cells)) == len(cells) and found >= MIN_FOLDER_SHARE * len(cells):
            return column
    return None


def named_elsewhere(table: Table, names: PhotoNames, but: int) -> set[str]:
    """Returns the photos whose files are named in other columns than one, as "ventral" beside "dorsal"."""
    cells = {row[column] for column in range(len(table.columns)) if column != but for row in table.rows}
    found = [names.find(cell, table.name, identifiers=False) for cell in cells if "." in cell]
    return {photo for photos in found for photo in photos if len(photos) == 1}


def is_numbers(table: Table, column: int) -> bool:
    """Returns whether the cells of a column are numbers, such as those of photos or of boxes."""
    return all(_NUMBER.fullmatch(value) for value in table.values(column) if value)


def match(meaning: Meaning, names: PhotoNames, split_of: Callable[[str], str | None]) -> None:
    """Finds the photos that each row may name; among several, the one in the row's split or beside the table.

    Args:
      meaning: receives the photos; its splits are known.
      names: the photos.
      split_of: returns the split of a photo by its folders.
    """
    table = meaning.table
    cells = table.values(meaning.file_column)
    prefix = matching.common_prefix(cells)
    file, _, sheet = table.name.partition("[")
    parent = PurePosixPath(file).parent
    named = {"".join(map(words.squeeze, run)) for run in (*_runs(PurePosixPath(file).stem), *_runs(sheet.rstrip("]")))}
    folders: list[int] | None = None
    for row, cell in enumerate(cells):
        found = names.find(cell, table.name, prefix)
        if len(found) > 1:
            folders = _folder_columns(table, names, meaning.file_column) if folders is None else folders
            for column in folders:
                inside = set(names.in_folder(table.rows[row][column]))
                found = [photo for photo in found if photo in inside] or found
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
                    # A table or sheet of one site, beside the folders of all.
                    lambda photo: not named.isdisjoint(map(words.squeeze, photo.split("/")[:-1])),
                ),
            )
        meaning.photos.append(found)


def _runs(name: str) -> Iterator[list[str]]:
    """Yields all runs of words in a name: "records_site A" has records, site, A, records site, site A and itself."""
    parts = re.findall(r"[^\W_]+", name)
    for start in range(len(parts)):
        for end in range(start + 1, len(parts) + 1):
            yield parts[start:end]


def _folder_columns(table: Table, names: PhotoNames, but: int) -> list[int]:
    """Returns the columns whose cells nearly all name folders of photos: "folder, filename" or "site, photo"."""
    step = max(1, len(table.rows) // SAMPLE_ROWS)
    found = []
    for column in range(len(table.columns)):
        cells = table.values(column)[::step] if column != but else []
        if cells and sum(bool(names.in_folder(cell)) for cell in cells) >= MIN_FOLDER_SHARE * len(cells):
            found.append(column)
    return found


def check_width(table: Table) -> None:
    """Raises a UserError where most rows have more cells than the header, so the columns are ambiguous."""
    named = len(table.columns)
    while named and not table.columns[named - 1]:
        named -= 1
    longer = [row for row in table.rows if any(row[named:])]
    if 2 * len(longer) > len(table.rows):
        raise UserError(
            f"{table.name} has a header of {named} columns, and rows of more cells, like "
            f"{', '.join(filter(None, longer[0]))!r}: name each column, and put quotes around cells with a delimiter"
        )
