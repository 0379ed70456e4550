"""Attributes of photos from a CSV beside their species: camera, place, season, or any other columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import matching, text
from butterflyer_jax.data.ingest.tables.columns import Table, make_table
from butterflyer_jax.errors import UserError, close_match
from butterflyer_jax.storage import files

# Columns that name the photo of a row, as in a zip's own label file; either will do.
NAMES = ("filename", "photo_id")


@dataclass(frozen=True)
class Attributes:
    """Columns of a CSV, row by row.

    Attributes:
      file: path of the CSV.
      filenames: name of the photo of each row.
      columns: values of the rows by column; empty where a row gives none.
    """

    file: str
    filenames: Sequence[str]
    columns: Mapping[str, Sequence[str]]

    def of(self, photo_ids: Sequence[str], among: Iterable[str]) -> dict[str, list[str]]:
        """Returns the values of photos by column, empty where none is given.

        Rows name photos as those of a label file do: by the path in the zip, or by an end of it that is unique.

        Args:
          photo_ids: photos to return values for.
          among: all photos that a row may refer to.

        Raises:
          UserError: no row means any of these photos, or two rows contradict each other.
        """
        names = matching.PhotoNames([*photo_ids, *among])
        wanted = set(photo_ids)
        row_of: dict[str, int] = {}
        for row, filename in enumerate(self.filenames):
            found = names.find(filename, identifiers=False)
            if len(found) != 1 or found[0] not in wanted:
                continue
            earlier = row_of.setdefault(found[0], row)
            for column, values in self.columns.items():
                if values[earlier] != values[row]:
                    raise UserError(
                        f"two rows of {self.file} contradict each other: {column} of {found[0]} is "
                        f"{values[earlier]!r} and {values[row]!r}"
                    )
        if not row_of:
            raise UserError(
                f"no row of {self.file} names one of the photos alone: its first is {self.filenames[0]!r}, "
                f"a photo is {photo_ids[0]!r}"
            )
        return {
            column: [values[row_of[name]] if name in row_of else "" for name in photo_ids]
            for column, values in self.columns.items()
        }


def read(file: str | os.PathLike[str], columns: Sequence[str]) -> Attributes:
    """Reads columns of a CSV with a column filename or photo_id.

    Args:
      file: path of the CSV, local or gs://, in UTF-8, with commas, semicolons or tabs.
      columns: names of columns, in any case.

    Raises:
      UserError: the file or a column does not exist, or the file is no CSV or has no rows.
    """
    name = os.fspath(file)
    try:
        table = make_table(name, text.parse(text.decode(files.read_bytes(name), name))) or Table(name, (), [])
    except (UnicodeError, csv.Error) as error:
        raise UserError(f"cannot read {name} (a CSV in UTF-8 is wanted): {error}") from error
    given = [column.strip().lower() for column in table.columns]
    for column in (*columns, *NAMES):
        if given.count(column.strip().lower()) > 1:
            raise UserError(f"{name} has several columns {column}: keep one")
    names = [column for column in NAMES if column in given]
    if not names:
        raise UserError(f"{name} has no column filename or photo_id, only {', '.join(given) or 'nothing'}")
    for column in columns:
        if column.strip().lower() not in given:
            hint = close_match(column.strip().lower(), given) or f", only {', '.join(given)}"
            raise UserError(f"{name} has no column {column}{hint}")
    key = given.index(names[0])
    rows = [row for row in table.rows if row[key]]
    if not rows:
        raise UserError(f"{name} has columns, but no rows")
    return Attributes(
        name,
        [matching.spelt(row[key]) for row in rows],
        {column: [words.plain(row[given.index(column.strip().lower())]) for row in rows] for column in columns},
    )
