"""The tables of a collection that may say something about its photos: those that the user chose, or all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest.tables import columns, meaning, outside, reader
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.meaning import Options
from butterflyer_jax.errors import UserError


def choose(found: reader.Found, options: Options) -> tuple[list[Table], dict[str, str]]:
    """Returns the tables that the user chose, or all but predictions; and the reason for each of the others.

    Raises:
      UserError: a chosen table or column is missing.
    """
    wanted = outside.listed(options.table)
    chosen: list[Table] = []
    seen: set[str] = set()
    others = {}
    for table in found.tables:
        # For a spreadsheet with several sheets, the sheet name stands in brackets.
        file = table.name.rpartition("[")[0] if table.name.endswith("]") else table.name
        spellings = {table.name, file, PurePosixPath(file).name}
        if wanted:
            if spellings & set(wanted):
                chosen.append(table)
                seen |= spellings
            else:
                others[table.name] = "build.table names another"
        elif columns.PREDICTIONS.match(PurePosixPath(file).stem):
            others[table.name] = "its name is that of predictions, which are not labels"
        else:
            chosen.append(table)
    missing = [name for name in wanted if name not in seen]
    if missing:
        if reason := found.unread.get(missing[0]):
            raise UserError(f"build.table={missing[0]} cannot be used: {reason}")
        there = ", ".join(table.name for table in found.tables) or "none"
        raise UserError(
            f"build.table={missing[0]}: no such table among the photos; there are {there}; name one elsewhere by its "
            "absolute path"
        )
    _check_columns(chosen, options)
    return chosen, others


def _check_columns(tables: Sequence[Table], options: Options) -> None:
    for option in ("file_column", "label_column", "group_column", "split_column"):
        asked = getattr(options, option)
        if (
            not asked
            or asked == meaning.TABLE_NAME
            or (
                option in ("group_column", "split_column")
                and asked in (meaning.NONE, meaning.FOLDER, meaning.FILE_NAME)
            )
        ):
            continue
        for name in [asked] if option == "split_column" else asked.split(","):
            if all(table.column(asked) is None and table.column(name.strip()) is None for table in tables):
                there = "; ".join(f"{table.name}: {meaning.describe_columns(table)}" for table in tables) or "no table"
                raise UserError(f"build.{option}={name.strip()}: no table has this column; there are {there}")
