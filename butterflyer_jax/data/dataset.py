"""Inputs of `--input`: a raw zip, a folder of photos, a built data set, or `fake`."""

from __future__ import annotations

import contextlib
import json
import os
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


def resolve(source: str | os.PathLike[str], config: BuildConfig, min_species: int = 2) -> str:
    """Returns the folder of the built data set behind `source`.

    A raw zip, or a folder of photos, is built into the cache the first time. It needs two species to be trained on;
    `min_species` of 1 is for data to test on.

    Raises:
      UserError: no such input, or it holds no data set.
    """
    if os.fspath(source) == FAKE:
        return FAKE
    path = paths.path(source)
    if not _is_zip(path):
        with contextlib.suppress(NoDatasetError):
            return os.fspath(find_dataset(path))
    # A built data set needs none of the packages that build one.
    from butterflyer_jax.data import build

    return os.fspath(build.build_cached(path, config, min_species))


def is_built(source: str | os.PathLike[str]) -> bool:
    """Returns whether `resolve` opens a data set that is there, rather than build one.

    Raises:
      UserError: there is no such input.
    """
    if os.fspath(source) == FAKE:
        return True
    path = paths.path(source)
    if _is_zip(path):
        return False
    try:
        find_dataset(path)
    except NoDatasetError:
        return False
    return True


def _is_zip(path: epath.Path) -> bool:
    return path.suffix.lower() == ".zip" or (files.exists(path) and not files.is_folder(path))


def open_data(
    dataset: str | os.PathLike[str],
    config: Config,
    accelerator: bool = False,
    process_index: int = 0,
    process_count: int = 1,
    for_training: bool = True,
) -> Data:
    """Opens the data set that `resolve` returned; the other arguments are those of `RecordData`.

    Raises:
      UserError: the data set is gone, or `RecordData` raises one.
    """
    if os.fspath(dataset) == FAKE:
        if config.data.num_folds:
            raise UserError("fake photos have no folds: data.num_folds and --folds need a data set")
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
    raise NoDatasetError(f"no data set in {folder}: it holds no {INFO_FILE}")


def card(dataset: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of a data set's data_card.json; an empty dict where it is missing or damaged."""
    try:
        return json.loads(files.read_text(paths.path(dataset) / "data_card.json"))
    except ValueError:
        return {}
