"""Splits that a collection gives by its folders and tables, and where they come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.folders import circumstances
from butterflyer_jax.data.ingest.folders.reading import Folders, pattern, some
from butterflyer_jax.data.ingest.tables.labels import Annotations
from butterflyer_jax.data.ingest.tables.meaning import FILE_NAME, FOLDER
from butterflyer_jax.errors import UserError

# Share of the photos whose names must name a split.
MIN_NAMED = 0.9


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
    if choice == FOLDER:
        return by_folder, names
    if choice == FILE_NAME:
        return _by_name(labels), ["file names"]
    if not choice:
        _check_folds(by_folder)
    if by_table:
        alone = by_folder.keys() - by_table.keys()
        names = [*dict.fromkeys(tables.split_names), *(names if alone else [])]
    if choice or len(set(by_folder.values())) < 2:
        # All photos lie in one folder named like a split: the tables are more precise.
        return by_folder | by_table, names
    columns = [name.partition(" in ")[0] for name in tables.split_names if not name.startswith("the name ")]
    of_table = f"build.split_column={columns[0]} takes those of the table, " if columns else ""
    for photo, split in by_table.items():
        if by_folder.get(photo, split) != split:
            raise UserError(
                f"folders and tables give different splits: {photo} is {by_folder[photo]} by its folder and {split} by "
                f"{', '.join(tables.split_names)}; build.split_column=folder takes the splits of the folders, "
                f"{of_table}build.split_column=none makes new splits"
            )
    return by_folder | by_table, names


def note(splits: Mapping[str, str], names: Sequence[str], labels: Collection[str]) -> str:
    """Returns a note that given splits do not cover all photos, or that file names name splits; "" for neither.

    Args:
      splits: split of each photo that has one.
      names: columns, files and folders that the splits come from.
      labels: photos with a species.
    """
    if splits:
        rest = sorted(set(labels) - splits.keys())
        if not rest or "train" not in splits.values():
            return ""
        return (
            f"photos without a split by {', '.join(names)}: {len(rest):,} such as {rest[0]}; they go to train, or to a "
            "split that is not given"
        )
    found = _by_name(labels)
    if len(set(found.values())) < 2 or len(found) < MIN_NAMED * len(set(labels)):
        return ""
    return (
        f"file names such as {min(found)} name the splits {some(set(found.values()))}, and new ones are made: "
        f"build.split_column={FILE_NAME} takes those of the names"
    )


def _by_name(labels: Iterable[str]) -> dict[str, str]:
    found = {photo: words.split_of_table(PurePosixPath(photo).stem) for photo in labels}
    return {photo: split for photo, split in found.items() if split}


def _check_folds(by_folder: Mapping[str, str]) -> None:
    """Raises a UserError where folders are folds of a cross-validation, for their splits share photos."""
    splits: dict[tuple[str, ...], set[str]] = defaultdict(set)
    folds: set[str] = set()
    for photo, split in by_folder.items():
        parts = photo.split("/")
        fold = next((level for level, part in enumerate(parts[:-1]) if circumstances.FOLD.fullmatch(part)), None)
        if fold is not None:
            folds.add(parts[fold])
            splits[tuple(part for n, part in enumerate(parts) if n != fold and not words.split_of(part))].add(split)
    if len(folds) < 2 or not any(len(found) > 1 for found in splits.values()):
        return
    first, *others = sorted(folds)
    left_out = ",".join("*" + pattern(fold) for fold in others)
    raise UserError(
        f"{some(folds)} hold the same photos in other splits, as the folds of a cross-validation: "
        f"build.ignore={left_out} keeps {first}, build.split_column=none makes new splits"
    )


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
