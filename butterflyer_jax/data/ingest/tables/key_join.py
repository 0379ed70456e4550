"""Join of tables by a shared key."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import class_names, columns, file_column, meaning, understanding
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.meaning import Meaning, Options

# Photos of iNaturalist's open data have observations, and these have taxa.
MAX_JOINED = 2


def join_all(
    tables: Sequence[Table],
    understood: dict[str, Meaning | None],
    names: PhotoNames,
    split_of: Callable[[str], str | None],
    options: Options,
    unused: dict[str, str],
) -> list[Meaning]:
    """Returns the tables that name photos; one without labels is joined with others by shared keys, at most two.

    Args:
      tables: all tables of the collection.
      understood: meaning of each table by itself, by the table's name.
      names: the photos.
      split_of: returns the split of a photo by its folders.
      options: the user's choices.
      unused: receives the tables that are not used, with the reasons.
    """
    meanings: list[Meaning] = []
    used: set[str] = set()
    others = [table for table in tables if understood[table.name] is None]
    for table in tables:
        one = understood[table.name]
        column = (
            one.file_column if one else file_column.find_folders(table, names, columns.named(table, columns.FOLDER))
        )
        if column is None:
            continue
        if not (one and one.labels):
            wide, joined = one.table if one else table, list[str]()
            rest = [other for other in others if other is not table]
            while len(joined) < MAX_JOINED and (pair := _widened(wide, rest, column)):
                wide, other = pair
                joined.append(other.name)
                rest.remove(other)
                wider = understanding.understand(wide, names, split_of, options)
                if wider and wider.labels:
                    one = wider
                    used |= {table.name, *joined}
                    break
        if one:
            meanings.append(one)
    for table in others:
        if table.name in used or class_names.is_list(table):
            continue
        what = columns.named(table, columns.LABEL)
        files = columns.named(table, columns.FILE)
        if files and table.rows:
            first = next((row[files[0]] for row in table.rows if row[files[0]]), "")
            where = table.columns[files[0]]
            unused[table.name] = f"no row names a file of the input: its first is {first!r} in {where}"
        elif what:
            unused[table.name] = (
                f"no column names files of the input, only {meaning.describe_columns(table)}; see build.file_column"
            )
        else:
            unused[table.name] = f"its columns {meaning.describe_columns(table)} name no files of the input"
    return meanings


def _widened(table: Table, others: Sequence[Table], file_column: int) -> tuple[Table, Table] | None:
    """Returns a table joined with the first of others that shares a key, preferably one with labels; and that one."""
    found = [(wide, other) for other in others if (wide := join(table, other, file_column))]
    return min(found, key=lambda pair: not columns.named(pair[1], columns.LABEL), default=None)


def join(table: Table, other: Table, file_column: int) -> Table | None:
    """Returns a table joined with the columns of another by a shared key, None where they share none."""
    for mine, name in enumerate(table.columns):
        if mine == file_column or not name:
            continue
        for theirs, key in enumerate(other.columns):
            same = words.squeeze(name) == words.squeeze(key)
            # species_id in one table is id in the other.
            if not (same or (words.squeeze(key) == "id" and words.squeeze(name).endswith("id"))):
                continue
            values = other.values(theirs)
            if len(set(values)) != len(values):
                continue
            rows = dict(zip(values, other.rows, strict=True))
            found = sum(row[mine] in rows for row in table.rows)
            if not found or 10 * found < 9 * len(table.rows):
                continue
            added = [n for n in range(len(other.columns)) if n != theirs]
            blank = [""] * len(other.columns)
            # A column "name" of the other table is the name of the key's entity.
            heads = ["species name" if words.squeeze(other.columns[n]) == "name" else other.columns[n] for n in added]
            wide = [[*row, *((rows.get(row[mine]) or blank)[n] for n in added)] for row in table.rows]
            return dataclasses.replace(table, columns=(*table.columns, *heads), rows=wide)
    return None
