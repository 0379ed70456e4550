"""Inputs of `--input`: a raw zip, a folder of photos, a built data set, or `fake`."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from etils import epath

from butterflyer_jax.config import BuildConfig, Config
from butterflyer_jax.data.input.fake import FakeData
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, find, paths

INFO_FILE = "dataset_info.json"

FAKE = "fake"


class NoDatasetError(UserError):
    """A folder holds no built data set."""


def resolve(source: str | os.PathLike[str], config: BuildConfig) -> str:
    """Returns the folder of the built data set behind `source`.

    A raw zip, or a folder of photos, is built into the cache the first time.

    Raises:
      UserError: no such input, or it holds no data set.
    """
    if os.fspath(source) == FAKE:
        return FAKE
    path = paths.path(source)
    no_dataset: NoDatasetError | None = None
    if not (path.suffix.lower() == ".zip" or (files.exists(path) and not files.is_folder(path))):
        try:
            return str(os.fspath(find_dataset(path)))
        except NoDatasetError as error:
            no_dataset = error
    # A built data set needs none of the packages that build one.
    from butterflyer_jax.data import build
    from butterflyer_jax.data.ingest import raw_zip

    try:
        return str(os.fspath(build.build_cached(path, config)))
    except raw_zip.NoPhotosError as error:
        raise no_dataset or error from None


def open_data(
    dataset: str | os.PathLike[str],
    config: Config,
    accelerator: bool = False,
    process_index: int = 0,
    process_count: int = 1,
    for_training: bool = True,
) -> Data:
    """Opens what `resolve` returned, as `RecordData` does.

    Raises:
      UserError: it is gone, or as `RecordData` says.
    """
    if os.fspath(dataset) == FAKE:
        return FakeData(config, process_index, process_count)
    from butterflyer_jax.data.input.record_data import RecordData

    return RecordData(find_dataset(dataset), config, accelerator, process_index, process_count, for_training)


def find_dataset(source: str | os.PathLike[str]) -> epath.Path:
    """Returns the folder of a built data set: `source` itself, or the only one below it.

    Raises:
      UserError: none there, or several.
    """
    folder = paths.path(source)
    if not files.exists(folder):
        raise UserError(f"no such input: {folder}")
    for pattern in (INFO_FILE, f"*/{INFO_FILE}", f"*/*/{INFO_FILE}", f"*/*/*/{INFO_FILE}"):
        # TFDS builds under such a name, and renames when all is there.
        found = [f.parent for f in find.glob(folder, pattern) if not f.parent.name.startswith("incomplete.")]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"several data sets in {folder}, name one: {', '.join(map(str, found))}")
    raise NoDatasetError(
        f"no data set in {folder}: it holds no {INFO_FILE} and no photographs; build one with `tfds build`"
    )


def card(dataset: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of a data set's data_card.json; nothing where it is gone."""
    try:
        content: dict[str, Any] = json.loads(files.read_text(paths.path(dataset) / "data_card.json"))
        return content
    except ValueError:
        return {}


def listed(dataset: str | os.PathLike[str], split: str) -> list[tuple[str, str]]:
    """Returns the path in the zip and the species of each photo of a split, in the order of the records.

    Records lie in the order of a hash of these paths (`shard_writer.write_tasks`), so the list beside them gives the
    order, and no record need be read. Nothing where the list is gone.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(files.read_text(paths.path(dataset) / f"{split}.csv"))))
        ordered = sorted(rows, key=lambda row: sha256(row["photo_id"].encode("utf-8", "surrogatepass")).digest())
        return [(row["photo_id"], row["label"]) for row in ordered]
    except (ValueError, KeyError):
        return []


def photo_ids(dataset: str | os.PathLike[str], split: str, species: Sequence[str]) -> list[str]:
    """Returns the path in the zip of each photo of a split.

    Args:
      dataset: folder of a built data set.
      split: train, val or test.
      species: species of the photos, in the order of the split; the list must agree.

    Returns:
      The names; "test/12" and so on where the list is gone, or is of other photos.
    """
    rows = listed(dataset, split)
    if [label for _, label in rows] == list(species):
        return [name for name, _ in rows]
    return [f"{split}/{number}" for number in range(len(species))]
