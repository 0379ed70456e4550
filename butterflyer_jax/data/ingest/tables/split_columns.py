"""Splits that a table gives its photos: by a column of train and test, by columns of yes and no, or by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import columns
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.meaning import FILE_NAME, FOLDER, NONE, Meaning, Options
from butterflyer_jax.errors import UserError

# "is_valid", "in_train", "used_for_testing"; "train" and "test" alone where the cells say yes or no.
_FLAG = re.compile(r"(?:usedfor|usefor|used|use|is|in|for)?(?P<split>[a-z]+?)(?:image|img|photo|set|data|split|only)?")
# Cells that say yes or no, in lower case.
YES = frozenset(["1", "1.0", "true", "yes", "y", "t", "x", "ja", "wahr", "oui", "vrai"])
NO = frozenset(["0", "0.0", "false", "no", "n", "f", "nein", "falsch", "non", "faux", ""])


def read(meaning: Meaning, options: Options) -> None:
    """Sets the split of each row: train, val, test, "" for none, or a word that names no split, as it stands."""
    table = meaning.table
    file, _, part = table.name.partition("[")
    by_file = words.split_of(part.rstrip("]")) or words.split_of_table(PurePosixPath(file).stem) or ""
    meaning.splits = [by_file] * len(table.rows)
    meaning.split_name = f"the name {table.name}" if by_file else ""
    if options.split_column in (NONE, FOLDER, FILE_NAME):
        meaning.splits, meaning.split_name = [""] * len(table.rows), ""
        return
    chosen = table.column(options.split_column) if options.split_column else _column(meaning)
    flags = [column for column in range(len(table.columns)) if _is_flag(table, column)]
    if chosen is None and flags:
        chosen = flags[0]
    if chosen is None and not table.header:
        # TRAIN,gs://bucket/0.jpg,Monarch: a list for AutoML.
        chosen = next((n for n in range(len(table.columns)) if _are_splits(table.values(n))), None)
    if chosen is None:
        return
    meaning.split_name = table.columns[chosen]
    if chosen not in flags:
        found = [_value(row[chosen]) for row in table.rows]
    elif options.split_column or len(flags) == 1:
        found = [_of_flag(row[chosen], _flag_of(table.columns[chosen])) for row in table.rows]
    else:
        found = [_of_flags(table, row, flags) for row in table.rows]
        meaning.split_name = ", ".join(table.columns[column] for column in flags)
    meaning.splits = [split or by_file for split in found]


def _column(meaning: Meaning) -> int | None:
    """Returns the column whose cells name splits, None for none.

    Raises:
      UserError: two columns give different splits.
    """
    table = meaning.table
    found: list[int] = []
    for column in columns.named(table, columns.SPLIT):
        values = Counter(value.strip() for value in table.values(column) if not columns.is_blank(value))
        known = sum(number for value, number in values.items() if words.split_of(value))
        spelt = words.squeeze(table.columns[column])
        if 2 * known > values.total() or (spelt == "split" and known):
            found.append(column)
        elif values and spelt not in ("dataset", "usage") and column != meaning.file_column:
            shown = ", ".join(sorted(values)[:3])
            meaning.notes.append(
                f"the column {table.columns[column]} of {table.name} ({shown}) names no splits, and is not used"
            )
    for column, name in enumerate(table.columns):
        # Under any name, such as "type" or "purpose", with train and test in all rows.
        distinct = {value for value in table.values(column) if not columns.is_blank(value)}
        several = len({words.split_of(value) for value in distinct} - {None}) > 1
        if name and several and all(map(words.split_of, distinct)):
            found.append(column)
    for other in found[1:]:
        if any(_value(row[found[0]]) != _value(row[other]) for row in table.rows):
            names = table.columns[found[0]], table.columns[other]
            raise UserError(
                f"{table.name} gives different splits in its columns {names[0]} and {names[1]}: "
                f"build.split_column={names[0]} or build.split_column={names[1]} chooses, build.split_column=none makes"
                " new splits"
            )
    return found[0] if found else None


def _flag_of(name: str) -> str:
    """Returns the split that a column of yes and no is about, "" for none."""
    found = _FLAG.fullmatch(words.squeeze(name))
    return words.split_of(found["split"]) or "" if found else ""


def _is_flag(table: Table, column: int) -> bool:
    """Returns whether a column says yes or no about a split; a bare "train" has to say both."""
    name = table.columns[column]
    if not (name and _flag_of(name)):
        return False
    values = {value.casefold() for value in table.values(column)}
    both = bool(values & YES) and bool(values & NO)
    return values <= YES | NO and (both or words.squeeze(name).startswith("is"))


def _of_flag(cell: str, split: str) -> str:
    """Returns the split of a row by one column; no photo of val may be one of train or of test."""
    if cell.casefold() in YES:
        return split
    return "" if split == "val" or not cell else "test" if split == "train" else "train"


def _of_flags(table: Table, row: Sequence[str], flags: Sequence[int]) -> str:
    """Returns the split of a row by several columns, "" where all say no; a text that names none where two say yes."""
    named = {_flag_of(table.columns[column]) for column in flags if row[column].casefold() in YES}
    return named.pop() if len(named) == 1 else " and ".join(sorted(named))


def _are_splits(cells: Sequence[str]) -> bool:
    """Returns whether all cells name a split, or say that there is none."""
    known = [cell for cell in cells if not _is_unassigned(cell)]
    return bool(known) and all(map(words.split_of, known))


def _is_unassigned(cell: str) -> bool:
    """Returns whether a cell leaves the split to the program that reads it, as UNASSIGNED of AutoML does."""
    return columns.is_blank(cell) or words.squeeze(cell) in ("unassigned", "auto", "random")


def _value(cell: str) -> str:
    """Returns the split named by a cell, or the cell's text in lower case where it names none."""
    return "" if _is_unassigned(cell) else words.split_of(cell) or cell.strip().casefold()
