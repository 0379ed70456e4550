"""The lists beside the records of a data set: paths, species and groups of its photos."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from hashlib import sha256

from butterflyer_jax.config import DataConfig
from butterflyer_jax.data import folds
from butterflyer_jax.data.ingest.words import SPLITS
from butterflyer_jax.data.shard_format import GROUPS_FILE
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, paths


def listed(dataset: str | os.PathLike[str], split: str, config: DataConfig | None = None) -> list[tuple[str, str]]:
    """Returns the path in the zip and the species of each photo of a split, in the order of the records.

    Records lie in the order of a hash of these paths (`shard_writer.write_tasks`), so the list beside them gives the
    order, and no record need be read. Nothing where the list is gone.

    Args:
      dataset: folder of a built data set.
      split: train, val or test.
      config: names the fold, where the splits are those of a cross-validation.
    """
    if config is not None and config.num_folds:
        return [(name, species) for name, species, of_photo in folded(dataset, config) if of_photo == split]
    try:
        rows = _rows(dataset, f"{split}.csv")
        ordered = sorted(rows, key=lambda row: sha256(row["photo_id"].encode("utf-8", "surrogatepass")).digest())
        return [(row["photo_id"], row["label"]) for row in ordered]
    except (ValueError, KeyError):
        return []


def folded(dataset: str | os.PathLike[str], config: DataConfig) -> list[tuple[str, str, str]]:
    """Returns path, species and split of each photo in a fold of a cross-validation, in the order of the records.

    Groups are never divided. The order is that of the data set's own splits: train, then val, then test.

    Args:
      dataset: folder of a built data set.
      config: names the fold, and the number of folds.

    Raises:
      UserError: the groups of the data set are not known.
    """
    rows = [row for split in SPLITS for row in listed(dataset, split)]
    names, species = [name for name, _ in rows], [label for _, label in rows]
    assigned = folds.assign(names, species, groups(dataset), config.num_folds)
    # Counted from the fold that is tested.
    places = (assigned - (config.fold - 1)) % config.num_folds
    splits = ["test" if place == 0 else "val" if place == 1 else "train" for place in places]
    return list(zip(names, species, splits, strict=True))


def photo_ids(
    dataset: str | os.PathLike[str], split: str, species: Sequence[str], config: DataConfig | None = None
) -> list[str]:
    """Returns the path in the zip of each photo of a split.

    Args:
      dataset: folder of a built data set.
      split: train, val or test.
      species: species of the photos, in the order of the split; the list must agree.
      config: names the fold, where the splits are those of a cross-validation.

    Returns:
      The names; "test/12" and so on where the list is gone, or is of other photos.
    """
    rows = listed(dataset, split, config)
    if [label for _, label in rows] == list(species):
        return [name for name, _ in rows]
    return [f"{split}/{number}" for number in range(len(species))]


def groups(dataset: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the group of each photo that shares one with others: near-duplicates, a burst, an observation, a session.

    Args:
      dataset: folder of a built data set.

    Returns:
      The names of the groups by photo_id; photos in no group are left out.

    Raises:
      UserError: the lists are damaged; or a version of this library built the data set that did not list groups.
    """
    folder = paths.path(dataset)
    try:
        if files.exists(folder / GROUPS_FILE):
            return {row["photo_id"]: row["group"] for row in _rows(dataset, GROUPS_FILE)}
        card = json.loads(files.read_text(folder / "data_card.json"))
        if by := card.get("groups", {}).get("by"):
            raise UserError(
                f"{folder} was built by an older version, which did not list its groups by {', '.join(by)}: build it "
                "again"
            )
        return {row["photo_id"]: row["group"] for row in _rows(dataset, "duplicates.csv")}
    except (ValueError, KeyError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the lists of photos in {folder} are damaged: {error}") from error


def _rows(dataset: str | os.PathLike[str], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files.read_text(paths.path(dataset) / name))))
