"""Matching of the names of other data, or of a list of species, with those that a run knows."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int64

from butterflyer_jax import cli
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import paths

UNKNOWN = -1


def read_table(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads a table of two columns: a species name of the data, and the run's name for it, empty for none.

    Args:
      path: CSV or TSV file in UTF-8, with or without a header; local or gs://.

    Raises:
      UserError: the file does not exist, or a row does not have two columns.
    """
    rows = _rows(_read(path))
    if wrong := next((number for number, row in enumerate(rows, 1) if len(row) != 2), None):
        raise UserError(f"{os.fspath(path)}, row {wrong}: two columns are needed, the data's species and the run's")
    return {theirs.strip(): ours.strip() for theirs, ours in rows}


def read_list(
    path: str | os.PathLike[str], ours: Sequence[str], table: Mapping[str, str] | None = None
) -> Bool[np.ndarray, " num_species"]:
    """Reads a list of species, such as those of a place.

    A line is a name, in the spellings that `label_map` matches; or it has two columns as in `read_table`, a name and
    the run's name for it, empty for a species that the run does not know.

    Args:
      path: text file in UTF-8, local or gs://; empty lines and lines that begin with # are left out.
      ours: species of the run, in the order of its labels.
      table: the run's names by other names, empty for one that the run does not know.

    Returns:
      bool [len(ours)], whether each species is on the list.

    Raises:
      UserError: the file does not exist or is a folder, the run does not know a name, or no species is left.
    """
    find = _finder(ours)
    targets = {_normalised(name): target for name, target in (table or {}).items()}
    listed = np.zeros(len(ours), bool)
    lines = [line.strip() for line in _read(path).splitlines()]
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        name = targets.get(_normalised(line), line)
        if name and find(name) == UNKNOWN:
            # Not a name: two columns, then.
            [row] = _rows(line)
            name = row[1].strip() if len(row) == 2 else name
        if not name:
            continue
        label = find(name)
        if label == UNKNOWN:
            hint = cli.close_match(name, ours) or f"; it knows {_some(ours)}"
            raise UserError(f"{os.fspath(path)}, line {number}: the run knows no species {name!r}{hint}")
        listed[label] = True
    if not listed.any():
        raise UserError(f"{os.fspath(path)} lists none of the run's species ({_some(ours)})")
    return listed


def _read(path: str | os.PathLike[str]) -> str:
    file = paths.path(path)
    if not file.exists():
        raise UserError(f"no such file: {file}")
    if file.is_dir():
        raise UserError(f"{file} is a folder: a file with names of species is needed")
    try:
        text: str = file.read_text(encoding="utf-8")
        return text.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8") from error


def _rows(text: str) -> list[list[str]]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    return [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]


def label_map(
    theirs: Sequence[str], ours: Sequence[str], table: Mapping[str, str] | None = None
) -> Int64[np.ndarray, " num_theirs"]:
    """Returns the run's label of each species of other data, `UNKNOWN` where the run does not know it.

    Names match in any case, with `_` for a space, and without doubled spaces. The table takes precedence over names.

    Args:
      theirs: species of the data, in the order of its labels.
      ours: species of the run, in the order of its labels.
      table: species of the run by species of the data, empty for one that the run does not know.

    Returns:
      int64 [len(theirs)].

    Raises:
      UserError: the table names a species that the run does not know, or no species of the data is known.
    """
    find = _finder(ours)
    targets = {_normalised(name): target for name, target in (table or {}).items()}
    found = []
    for name in theirs:
        target = targets.get(_normalised(name), name)
        label = find(target) if target else UNKNOWN
        if label == UNKNOWN and target and _normalised(name) in targets:
            raise UserError(f"the run knows no species {target!r}, which the table names; it knows {_some(ours)}")
        found.append(label)
    if all(label == UNKNOWN for label in found) and not table:
        raise UserError(
            f"none of the data's species ({_some(theirs)}) is one of the run's ({_some(ours)}): match them with "
            "--species_map TABLE.csv, two columns, the data's name and the run's (empty for a species it does not know)"
        )
    return np.array(found, np.int64)


def _finder(ours: Sequence[str]) -> Callable[[str], int]:
    """Returns what finds the label of a name, `UNKNOWN` where the run does not know it."""
    exact = {name: label for label, name in enumerate(ours)}
    labels: dict[str, int] = {}
    for label, name in enumerate(ours):
        # If two names differ only in spelling, a third spelling matches neither.
        labels[_normalised(name)] = UNKNOWN if _normalised(name) in labels else label
    return lambda name: exact.get(name, labels.get(_normalised(name), UNKNOWN))


def _normalised(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
