"""Agreement of the labels that two tables give the same photos."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import class_names
from butterflyer_jax.data.ingest.tables.meaning import Meaning
from butterflyer_jax.errors import UserError


def check(
    own: dict[str, tuple[str, str]],
    one: Meaning,
    owner: Mapping[str, Meaning],
    labels: Mapping[str, str],
    tables: Iterable[str],
) -> None:
    """Gives the labels of one table the names of earlier ones, where both have the same classes.

    That is so for numbers, and for names spelled otherwise or with authors.

    Args:
      own: (label, split) of each photo in this table; changed in place.
      one: meaning of the table.
      owner: table that gave each earlier label, by photo.
      labels: earlier labels, by photo.
      tables: names of all tables with labels, for the options in the error.

    Raises:
      UserError: the table contradicts them, or has other names for the same classes.
    """
    pairs = {(labels[photo], label) for photo, (label, _) in own.items() if photo in labels}
    if all(mine == theirs for mine, theirs in pairs):
        return
    to_mine, to_theirs = dict(pairs), {label: mine for mine, label in pairs}
    photo = next(p for p, (label, _) in own.items() if p in labels and labels[p] != label)
    other, what = owner[photo].table.name, "give different labels"
    if len(to_mine) == len(to_theirs) == len(pairs) > 1:
        if class_names.are_numbered(to_theirs) or all(_are_same_name(mine, label) for mine, label in pairs):
            for photo, (label, split) in own.items():
                own[photo] = (to_theirs.get(label, label), split)
            return
        what = "name the same classes differently"
    choices = " or ".join(f"build.table={','.join(names)}" for names in _readings(other, one.table.name, tables))
    raise UserError(
        f"{other} and {one.table.name} {what}: {photo} is {labels[photo]!r} in the one and "
        f"{own[photo][0]!r} in the other; {choices} chooses"
    )


def check_languages(owner: Mapping[str, Meaning], labels: Mapping[str, str]) -> None:
    """Refuses tables of which some have scientific names and others none, for two names may be one species.

    Args:
      owner: table that gave each label, by photo.
      labels: labels, by photo.

    Raises:
      UserError: there are such tables, and none of their labels stands in both.
    """
    of_tables: dict[str, set[str]] = defaultdict(set)
    for photo, label in labels.items():
        of_tables[owner[photo].table.name].add(label)
    if found := words.in_two_languages(of_tables):
        one, other = found
        raise UserError(
            f"{one} has scientific names, such as {min(of_tables[one])!r}, and {other} has others, such as "
            f"{min(of_tables[other])!r}: two names of one species would be two species; write the same names into "
            f"both, or build.table={one},{other} takes both as they are"
        )


def _readings(one: str, other: str, tables: Iterable[str]) -> list[list[str]]:
    """Returns the tables of each reading: those whose names differ by a split alone are about other photos."""
    parts: dict[str, list[str]] = defaultdict(list)
    for name in tables:
        parts[_without_split(name)].append(name)
    first, second = _without_split(one), _without_split(other)
    if first == second:
        return [[one], [other]]
    # A third level beside two, as variant, family and manufacturer of FGVC-Aircraft.
    further = [names for key, names in parts.items() if key not in (first, second) and len(names) > 1]
    return [parts[first], parts[second], *further]


def _without_split(name: str) -> str:
    folder, file = posixpath.split(name)
    found = words.split_by_word(posixpath.splitext(file)[0])
    return posixpath.join(folder, found[1]) if found else name


def _are_same_name(one: str, other: str) -> bool:
    """Returns whether two names differ in their spelling, or by an author: "Aglais io (Linnaeus, 1758)"."""
    if words.squeeze(one) == words.squeeze(other):
        return True
    short, long = sorted((one, other), key=len)
    return long.casefold().startswith(short.casefold()) and bool(re.match(r"\s*[(,]|\s+[A-Z&]", long[len(short) :]))
