"""The names and groups of a data set's photos."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from hashlib import sha256

from butterflyer_jax.data.protocol import Data
from butterflyer_jax.data.shard_format import GROUPS_FILE
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, paths


def in_record_order(dataset: str | os.PathLike[str], split: str, species: Sequence[str]) -> list[str]:
    """Returns the photo_ids of a split that an earlier version built, whose indexes hold none.

    Records lie in the order of a hash of these names (`shard_writer.write_tasks`), so the list beside them gives the
    order.

    Args:
      dataset: folder of a built data set.
      split: train, val or test.
      species: species of each photo in the order of the records; the list must agree.

    Returns:
      The names in the order of the records; an empty list where the file is gone, or lists other photos.
    """
    try:
        rows = [(row["photo_id"], row["label"]) for row in _rows(dataset, f"{split}.csv")]
    except (ValueError, KeyError):
        return []
    rows.sort(key=lambda row: sha256(row[0].encode("utf-8", "surrogatepass")).digest())
    return [name for name, _ in rows] if [label for _, label in rows] == list(species) else []


def names(data: Data, split: str) -> list[str]:
    """Returns the photo_ids of a split; "test/12" and so on where they are not known."""
    return data.photo_ids(split) or [f"{split}/{number}" for number in range(data.num_photos(split))]


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
