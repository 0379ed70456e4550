"""What a CSV says of photographs beside their species: camera, place, season, or whatever its columns hold."""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import matching, text
from butterflyer_jax.data.ingest.tables.columns import Table, make_table
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files

# Either names the photograph of a row, as in a zip's own label file.
NAMES = ("filename", "photo_id")


@dataclass(frozen=True)
class Attributes:
    """Columns of a CSV, row by row.

    Attributes:
      file: that they are of.
      filenames: of the rows.
      columns: values of the rows, by column; empty where a row gives none.
    """

    file: str
    filenames: Sequence[str]
    columns: Mapping[str, Sequence[str]]

    def of(self, photo_ids: Sequence[str], among: Iterable[str]) -> dict[str, list[str]]:
        """Returns the values of photographs by column, empty where none is given.

        Rows name photographs as those of a label file do: by the path in the zip, or by the end of it that stands once.

        Args:
          photo_ids: photographs that are asked for.
          among: all photographs that a row may mean.

        Raises:
          UserError: no row means any of these photographs, or two rows contradict each other.
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
                f"no row of {self.file} names one of the photographs alone: its first is {self.filenames[0]!r}, "
                f"a photograph is {photo_ids[0]!r}"
            )
        return {
            column: [values[row_of[name]] if name in row_of else "" for name in photo_ids]
            for column, values in self.columns.items()
        }


def read(file: str | os.PathLike[str], columns: Sequence[str]) -> Attributes:
    """Reads columns of a CSV with a column filename or photo_id.

    Args:
      file: local or gs://, in UTF-8, with commas, semicolons or tabs.
      columns: names, in letters of any case.

    Raises:
      UserError: no such file or column, no rows, or no CSV.
    """
    name = os.fspath(file)
    try:
        table = make_table(name, text.parse(text.decode(files.read_bytes(name), name))) or Table(name, (), [])
    except (UnicodeError, csv.Error) as error:
        raise UserError(f"cannot read {name} (a CSV in UTF-8 is wanted): {error}") from error
    given = [column.strip().lower() for column in table.columns]
    for column in (*columns, *NAMES):
        if given.count(column.strip().lower()) > 1:
            raise UserError(f"{name} has several columns {column}: leave one")
    names = [column for column in NAMES if column in given]
    if not names:
        raise UserError(f"{name} has no column filename or photo_id, only {', '.join(given) or 'nothing'}")
    for column in columns:
        if column.strip().lower() not in given:
            close = difflib.get_close_matches(column.strip().lower(), given, n=1)
            hint = f"; did you mean {close[0]}?" if close else f", only {', '.join(given)}"
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
