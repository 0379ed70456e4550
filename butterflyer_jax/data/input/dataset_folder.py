"""What the folder of a built data set holds: its species, and the photos of each split by the indexes of its shards."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from etils import epath

from butterflyer_jax.config import DataConfig
from butterflyer_jax.data import folds, photo_lists
from butterflyer_jax.data.ingest.words import NEGATIVES, SPLITS
from butterflyer_jax.data.input.shard_reader import Photos
from butterflyer_jax.data.protocol import NEGATIVE_LABEL
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files
from butterflyer_jax.storage.folder import Files


@dataclass(frozen=True)
class Contents:
    """What the data card and TFDS's information say.

    Attributes:
      species: names of the species, in the order of the labels.
      class_counts: number of training photos of each species.
      counts: number of photos of each species, by split.
      lengths: number of photos in each shard, by split.
    """

    species: tuple[str, ...]
    class_counts: tuple[int, ...]
    counts: dict[str, list[int]]
    lengths: dict[str, list[int]]

    @property
    def shards(self) -> dict[str, list[str]]:
        """File names of the shards, by split."""
        return {split: _shard_names(split, len(of_split)) for split, of_split in self.lengths.items()}


def read_contents(folder: epath.Path) -> Contents:
    """Reads the two files that describe a data set.

    Raises:
      UserError: one is missing or damaged.
    """
    with _damage_reported(folder):
        card = json.loads(files.read_text(folder / "data_card.json"))
        info = json.loads(files.read_text(folder / "dataset_info.json"))
        lengths = {split["name"]: [int(length) for length in split["shardLengths"]] for split in info["splits"]}
        counts = {split: [row[split] for row in card["species"].values()] for split in SPLITS}
        return Contents(tuple(card["species"]), tuple(counts["train"]), counts, lengths)


def read_photos(folder: epath.Path, opened: Files, contents: Contents) -> dict[str, Photos]:
    """Reads the indexes of all shards; returns the photos of each split.

    Args:
      folder: folder of the data set, for the error.
      opened: files of the data set.
      contents: what `read_contents` returned.

    Raises:
      UserError: an index is missing or damaged.
    """
    with _damage_reported(folder):
        photos = {split: Photos(opened, names, contents.lengths[split]) for split, names in contents.shards.items()}
        if any((of_split.label >= len(contents.species)).any() for of_split in photos.values()):
            raise ValueError("a label is of no species")
        for split, of_split in photos.items():
            # The rest of an index is compared with the JPEGs; a label that changed would be learned.
            if split == NEGATIVES:
                if (of_split.label != NEGATIVE_LABEL).any():
                    raise ValueError("a negative has the label of a species")
            elif np.bincount(of_split.label, minlength=len(contents.species)).tolist() != contents.counts[split]:
                raise ValueError(f"the index of {split} has other labels than the data card")
    return photos


def photo_ids(folder: epath.Path, split: str, photos: Photos, species: Sequence[str]) -> list[str]:
    """Returns the path of each photo of a split in its source, in the order of the records; [] if not known.

    The names stand in the indexes. Those of an earlier version hold none: then the list beside the shards gives them,
    which is read once.

    Args:
      folder: folder of the data set.
      split: train, val or test.
      photos: the photos of the split.
      species: names of the species, in the order of the labels.
    """
    if not photos.photo_ids:
        photos.photo_ids = photo_lists.in_record_order(folder, split, [species[label] for label in photos.label])
    return photos.photo_ids


def divide(
    folder: epath.Path, photos: Mapping[str, Photos], species: Sequence[str], config: DataConfig
) -> dict[str, Photos]:
    """Returns the splits of a fold of a cross-validation: all photos, divided again; groups stay whole.

    Args:
      folder: folder of the data set.
      photos: the photos of its own splits.
      species: names of the species, in the order of the labels.
      config: names the fold, and the number of folds.

    Raises:
      UserError: the names of the photos or their groups are not known.
    """
    there = [split for split in SPLITS if split in photos]
    if not all(len(photo_ids(folder, split, photos[split], species)) == len(photos[split]) for split in there):
        raise UserError(f"folds need the lists of the photos, and those in {folder} are gone or of others")
    first, *others = [photos[split] for split in there]
    whole = first.join(others)
    names = [species[label] for label in whole.label]
    splits = folds.splits(whole.photo_ids, names, photo_lists.groups(folder), config.num_folds, config.fold)
    divided = {split: whole.choose(np.flatnonzero(splits == split)) for split in SPLITS}
    return divided | {split: photos[split] for split in photos if split == NEGATIVES}


@contextlib.contextmanager
def _damage_reported(folder: epath.Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        # A missing file says that the folder is not whole; what a bucket refuses is about the bucket.
        if isinstance(error, UserError) and not str(error).startswith("no such file: "):
            raise
        raise UserError(
            f"{folder} is damaged, or was not built by this version of butterflyer_jax: {error}; "
            "copy the data set again, or remove that folder and build it again"
        ) from error


def _shard_names(split: str, count: int) -> list[str]:
    return [f"butterflies-{split}.tfrecord-{number:05}-of-{count:05}" for number in range(count)]
