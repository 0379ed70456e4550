"""Splits that a collection gives by its folders and tables, and where they come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from butterflyer_jax.data.ingest.folders.reading import Folders, some
from butterflyer_jax.data.ingest.tables.labels import Annotations
from butterflyer_jax.errors import UserError


def find(
    folders: Folders, tables: Annotations, labels: Mapping[str, str], choice: str
) -> tuple[dict[str, str], list[str]]:
    """Returns the split of each photo that the collection gives, and the tables and folders that give them.

    Raises:
      UserError: folders and tables give different splits.
    """
    by_folder = {photo: split for photo, split in folders.splits.items() if photo in labels}
    by_table = {photo: split for photo, split in tables.splits.items() if photo in labels}
    names = ["folders"] if by_folder else []
    if choice == "folder":
        return by_folder, names
    if by_table:
        alone = by_folder.keys() - by_table.keys()
        names = [*dict.fromkeys(tables.split_names), *(names if alone else [])]
    if choice or len(set(by_folder.values())) < 2:
        # All photos lie in one folder named like a split: the tables are more precise.
        return by_folder | by_table, names
    for photo, split in by_table.items():
        if by_folder.get(photo, split) != split:
            raise UserError(
                f"folders and tables give different splits: {photo} is {by_folder[photo]} by its folder and {split} by "
                f"{', '.join(tables.split_names)}; build.split_column=folder takes the splits of the folders, "
                "build.split_column=COLUMN those of a table, build.split_column=none makes new splits"
            )
    return by_folder | by_table, names


def check_species(splits: Mapping[str, str], labels: Mapping[str, str]) -> None:
    """Raises a UserError where no species of a split is in train: their names are spelled otherwise, or others."""
    species: dict[str, set[str]] = defaultdict(set)
    for photo, split in splits.items():
        species[split].add(labels[photo])
    train = species.pop("train", set())
    for split, found in species.items():
        if len(train) > 1 and len(found) > 1 and not train & found:
            raise UserError(
                f"no species of the {split} split is in train, so no photo there could be named rightly: train has "
                f"{some(train, 3)}, {split} has {some(found, 3)}; give the same species the same name, or "
                "build.split_column=none makes new splits of all photos"
            )
