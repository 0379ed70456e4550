"""Species named by tables as a whole: a sheet, a CSV or a list of photos per species."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.folders.reading import some
from butterflyer_jax.data.ingest.tables.meaning import TABLE_NAME, Meaning, Options

# Names of fewer tables are hardly those of species.
MIN_TABLES = 2


def read(meanings: Sequence[Meaning], options: Options) -> None:
    """Takes the names of tables as labels where these are scientific names, or the user says so; else says that.

    Args:
      meanings: all tables that name photos; those without labels and with the same columns receive labels or a problem.
      options: the user's choices.
    """
    alike: dict[tuple[str, ...], list[Meaning]] = defaultdict(list)
    for one in meanings:
        if not one.labels and not words.split_of(name_of(one)) and not one.of_folders:
            alike[tuple(map(words.squeeze, one.table.columns))].append(one)
    for group in alike.values():
        names = {name_of(one) for one in group}
        photos = [{photo for found in one.photos for photo in found} for one in group]
        apart = sum(map(len, photos)) == len(set().union(*photos))
        if len(names) < max(MIN_TABLES, len(group)) or not apart or not all(len(own) > 1 for own in photos):
            continue
        chosen = options.label_column == TABLE_NAME
        for one in group:
            if chosen or (words.are_binomials(names) and not options.label_column):
                one.labels = [words.plain(name_of(one))] * len(one.photos)
                one.ranks = [()] * len(one.photos)
                one.label_name = "its name"
            else:
                one.problem = (
                    f"it is one of {len(group)} tables that name other photos each, and none of their columns is known "
                    f"as the label: if the names of the tables ({some(names)}) are the species, "
                    f"build.label_column={TABLE_NAME} takes them; else it says which column is"
                )


def name_of(one: Meaning) -> str:
    """Returns the name of a table's sheet, else that of its file."""
    file, _, sheet = one.table.name.partition("[")
    return sheet.rstrip("]") or posixpath.splitext(posixpath.basename(file))[0]
