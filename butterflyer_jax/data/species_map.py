"""Matching of the names of other data, or of a list of species, with those that a run knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int64

from butterflyer_jax.console import say
from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import single, text
from butterflyer_jax.data.ingest.tables.columns import LABEL
from butterflyer_jax.data.species_names import listed, make_close, scientific, spelt
from butterflyer_jax.errors import UserError, close_match

UNKNOWN = -1


def read_table(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads a table of two columns: a species name of the data, and the run's name for it, empty for none.

    Args:
      path: csv, tsv or xlsx, with or without a header; local or gs://.

    Raises:
      UserError: the file does not exist, a row does not have two columns, or two rows contradict each other.
    """
    rows = single.read_rows(path)
    if wrong := next((number for number, row in enumerate(rows, 1) if len(row) != 2), None):
        raise UserError(f"{os.fspath(path)}, row {wrong}: two columns are needed, the data's species and the run's")
    targets: dict[str, str] = {}
    for theirs, ours in rows:
        if targets.setdefault(spelt(theirs), ours) != ours:
            raise UserError(
                f"{os.fspath(path)} gives {theirs!r} two names of the run: {targets[spelt(theirs)]!r} and {ours!r}"
            )
    return dict(rows)


def read_list(
    path: str | os.PathLike[str], ours: Sequence[str], table: Mapping[str, str] | None = None
) -> Bool[np.ndarray, " num_species"]:
    """Reads a list of species, such as those of a place.

    A line is a name, in the spellings that `label_map` matches; or it has two columns as in `read_table`, a name and
    the run's name for it, empty for a species that the run does not know.

    Args:
      path: text file, local or gs://; empty lines, lines that begin with # and a header are left out.
      ours: species of the run, in the order of its labels.
      table: the run's names by other names, empty for one that the run does not know.

    Returns:
      bool [len(ours)], whether each species is on the list.

    Raises:
      UserError: the file does not exist or is a folder, the run does not know a name, a line names two of its species,
        or no species is left.
    """
    find = finder(ours)
    targets = {spelt(name): target for name, target in (table or {}).items()}
    on_list = np.zeros(len(ours), bool)
    lines = [line.strip() for line in single.read_text(path).splitlines()]
    used = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    for position, (number, line) in enumerate(used):
        name = targets.get(spelt(line), line)
        if name and find(name) == UNKNOWN:
            # Not a name: two columns, then.
            row = text.parse(line)[0]
            if sum(find(cell) != UNKNOWN for cell in row) > 1 and len({find(cell) for cell in row}) > 1:
                raise UserError(
                    f"{os.fspath(path)}, line {number} names two species of the run: {line}; write one name per line"
                )
            name = row[0] if len(row) == 1 else row[1] if len(row) == 2 else name
            if position == 0 and find(name) == UNKNOWN and _is_header(row):
                continue
        if not name:
            continue
        label = find(name)
        if label == UNKNOWN:
            hint = close_match(name, ours) or f"; it knows {listed(ours)}"
            raise UserError(f"{os.fspath(path)}, line {number}: the run knows no species {name!r}{hint}")
        on_list[label] = True
    if not on_list.any():
        raise UserError(f"{os.fspath(path)} lists none of the run's species ({listed(ours)})")
    return on_list


def _is_header(row: Sequence[str]) -> bool:
    return any(words.squeeze(cell) in (*LABEL, "name", "names", "commonnames") for cell in row)


def label_map(
    theirs: Sequence[str],
    ours: Sequence[str],
    table: Mapping[str, str] | None = None,
    may_be_unknown: bool = False,
) -> Int64[np.ndarray, " num_theirs"]:
    """Returns the run's label of each species of other data, `UNKNOWN` where the run does not know it.

    Names match in any case, with `_` or `-` for a space, by a common name or a synonym of a well-known species, and
    with or without an author. The table takes precedence over names. What is matched by another name is logged, and
    what may be a misspelt name.

    Args:
      theirs: species of the data, in the order of its labels.
      ours: species of the run, in the order of its labels.
      table: species of the run by species of the data, empty for one that the run does not know.
      may_be_unknown: whether the data may show none of the run's species, if no name is close to one of them either.

    Returns:
      int64 [len(theirs)].

    Raises:
      UserError: the table names a species that the run does not know or none of the data, or no species of the data is
        known.
    """
    find, close = finder(ours), make_close(ours)
    targets = {spelt(name): target for name, target in (table or {}).items()}
    _check_table(table or {}, theirs, find)
    found, by_synonym, near = [], [], []
    for name in theirs:
        target = targets.get(spelt(name), name)
        label = find(target) if target else UNKNOWN
        if label == UNKNOWN and target and spelt(name) in targets:
            raise UserError(f"the run knows no species {target!r}, which the table names; it knows {listed(ours)}")
        if label != UNKNOWN and target == name and spelt(name) != spelt(ours[label]):
            by_synonym.append(f"{name} is the run's {ours[label]}")
        if label == UNKNOWN and target and (other := close(name)):
            near.append(f"{name} ({other})")
        found.append(label)
    if all(label == UNKNOWN for label in found) and not table:
        like = f"; close to names of the run: {listed(near)}" if near else ""
        none = f"none of the data's species ({listed(theirs)}) is one of the run's ({listed(ours)}){like}"
        how = (
            "match them with --species_map TABLE.csv, two columns, the data's name and the run's (empty for a species "
            "it does not know)"
        )
        if near or not may_be_unknown:
            raise UserError(f"{none}: {how}")
        say(f"{none}, so all photos count as of species that it does not know; if these are other names, {how}")
    if by_synonym:
        say(f"other names of the same species: {', '.join(by_synonym)}")
    if near:
        say(f"taken for unknown, though close to a species of the run: {', '.join(near)}; --species_map can match them")
    return np.array(found, np.int64)


def _check_table(table: Mapping[str, str], theirs: Sequence[str], find: Callable[[str], int]) -> None:
    """Raises a UserError where a table is about other species than the data; logs single rows that are."""
    known = set(map(spelt, theirs))
    # The first row may be a header.
    rows = list(table.items())
    idle = [
        name
        for number, (name, target) in enumerate(rows)
        if spelt(name) not in known and (number or not target or find(target) != UNKNOWN)
    ]
    if rows and known.isdisjoint(map(spelt, table)):
        if not known.isdisjoint(map(spelt, table.values())):
            raise UserError(
                "the table of species has its columns the other way round: the data's name comes first, then the run's"
            )
        raise UserError(
            f"the table of species names none of the data's: it has {listed(table)}, the data {listed(theirs)}"
        )
    if idle:
        say(f"the table names species that the photos do not show: {listed(idle)}")


def finder(ours: Sequence[str]) -> Callable[[str], int]:
    """Returns what finds the label of a name in any spelling, or of another name; `UNKNOWN` where there is none."""
    exact = {name: label for label, name in enumerate(ours)}
    by_spelling: dict[str, int] = {}
    by_scientific: dict[str, int] = {}
    for label, name in enumerate(ours):
        # If two names differ only in spelling, a third spelling matches neither; so with two names of a species.
        for key, labels in ((spelt(name), by_spelling), (spelt(scientific(name)), by_scientific)):
            labels[key] = UNKNOWN if key in labels else label

    def find(name: str) -> int:
        if name in exact:
            return exact[name]
        if spelt(name) in by_spelling:
            return by_spelling[spelt(name)]
        return by_scientific.get(spelt(scientific(name)), UNKNOWN)

    return find
