"""Which photograph lies where in a split: the names of the photographs in the order of the records."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from hashlib import sha256

from butterflyer_jax.data import storage


def listed(dataset: str | os.PathLike[str], split: str) -> list[tuple[str, str]]:
    """Returns the path in the zip and the species of each photograph of a split, in the order of the records.

    Records lie in the order of a hash of these paths (`records.write_tasks`), so the list beside them tells the order,
    and no record need be read. Nothing where the list is gone.
    """
    try:
        rows = list(csv.DictReader(io.StringIO((storage.path(dataset) / f"{split}.csv").read_text())))
        ordered = sorted(rows, key=lambda row: sha256(row["photo_id"].encode("utf-8", "surrogatepass")).digest())
        return [(row["photo_id"], row["label"]) for row in ordered]
    except (OSError, ValueError, KeyError):
        return []


def photo_ids(dataset: str | os.PathLike[str], split: str, species: Sequence[str]) -> list[str]:
    """Returns the path in the zip of each photograph of a split.

    Args:
      dataset: folder of a built data set.
      split: train, val or test.
      species: of the photographs, in the order of the split; the list must agree.

    Returns:
      The names; "test/12" and so on where the list is gone, or is of other photographs.
    """
    rows = listed(dataset, split)
    if [label for _, label in rows] == list(species):
        return [name for name, _ in rows]
    return [f"{split}/{number}" for number in range(len(species))]
