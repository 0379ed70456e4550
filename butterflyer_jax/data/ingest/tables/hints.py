"""Hints on tables that name photos and give no labels: why, and the option that makes them labels."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest.tables import columns
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.meaning import SHOWN_COLUMNS, Meaning, describe_columns


def of(one: Meaning, is_used: bool) -> tuple[str, str]:
    """Returns why a table is not used, and a hint for a user whose photos nothing labels; "" for none.

    Args:
      one: meaning of a table without labels.
      is_used: whether it gives splits, groups or boxes.
    """
    table = one.table
    if one.problem:
        return one.problem, one.problem
    known = {table.columns[one.file_column], one.split_name, *one.group_names}
    free = [column for column in table.columns if column and column not in known]
    others = _likely_first(table, [column for column in free if not all(map(columns.is_blank, _cells(table, column)))])
    if free and not others:
        blank = f"its other columns ({', '.join(free[:SHOWN_COLUMNS])}) are blank in every row"
        return (
            "" if is_used else blank,
            f"names photos, and {blank}: the results of a spreadsheet's formulas are there once its program saved it",
        )
    reason = "" if is_used else f"no column is known as a label: {describe_columns(table)}; see build.label_column"
    if not others:
        return ("" if is_used else "a list of photos without labels"), ""
    if all(_are_files(_cells(table, column)) for column in others):
        return (
            reason,
            "names photos in each of its columns: if these are the species, write a table with a row per photo",
        )
    matched = {photo for photos in one.photos for photo in photos}
    return reason, (
        f"names {len(matched)} photos in its column {table.columns[one.file_column]}, and none of its other columns is "
        f"known as the label: build.label_column says which is ({', '.join(others[:SHOWN_COLUMNS])})"
    )


def _cells(table: Table, column: str) -> list[str]:
    return table.values(table.columns.index(column))


def _are_files(cells: Sequence[str]) -> bool:
    return {posixpath.splitext(cell)[1].lower() in image_format.SUFFIXES for cell in cells if cell} == {True}


def _likely_first(table: Table, names: Sequence[str]) -> list[str]:
    """Returns columns with those first that may be labels: words, several in all, which repeat."""

    def is_unlikely(name: str) -> bool:
        values = set(_cells(table, name))
        words_in = any(any(map(str.isalpha, value)) and not value.startswith(("{", "[")) for value in values)
        return not (words_in and 1 < len(values) < len(table.rows))

    return sorted(names, key=is_unlikely)
