"""A data set as a notebook uses it: species, images and batches of a split, and the facts of its data card."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from butterflyer_jax.config import Config, require
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data import photo_lists
from butterflyer_jax.data.ingest.split import SPLITS
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import paths


def open_data(source: str | os.PathLike[str], config: Config | None = None) -> DataSet:
    """Opens a data set; a raw zip is built into the cache first, once.

        with bj.open_data("butterflies.zip") as data:
            data.species, data.num_images("train")
            image = data.images("train", [0])[0]

    Args:
      source: a raw zip, a folder of photos or a built data set, local or gs://; or "fake".
      config: section `build` says how a zip is built, sections `data` and `augment` what `batches` yields; by default
        all fields have their defaults, and batches hold at most 32 images.

    Raises:
      UserError: no such source, it holds no data set, or the config is none.
    """
    config = Config(batch_size=32) if config is None else config
    require(config, Config)
    return DataSet(dataset_lib.resolve(source, config.build), config)


class DataSet:
    """An open data set; a context manager that closes it.

    Attributes:
      folder: folder of the built data set, or "fake".
      config: the config it was opened with.
      source: the data set as training opens it.
    """

    def __init__(self, folder: str, config: Config) -> None:
        """Opens the folder of a built data set; see `open_data`."""
        self.folder, self.config = folder, config
        self.source = dataset_lib.open_data(folder, config)

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.num_images(split)} {split}" for split in SPLITS)
        return f"<DataSet of {len(self.species)} species, {counts} images, in {self.folder}>"

    @property
    def species(self) -> tuple[str, ...]:
        """Species names; the position is the label."""
        return self.source.species

    def num_images(self, split: str) -> int:
        """Returns the number of images in a split: train, val or test; 0 where there is no such split."""
        return self.source.num_photos(split)

    def images(self, split: str, numbers: Iterable[int] | None = None) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Returns stored images, uint8 [height, width, 3].

        Args:
          split: train, val or test.
          numbers: indices of images in the order of the split; None stands for all of them.

        Raises:
          UserError: there is no such image, or the data set is "fake", which stores none.
        """
        return [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in self.jpegs(split, numbers)]

    def jpegs(self, split: str, numbers: Iterable[int] | None = None) -> list[bytes]:
        """Returns stored images as JPEG files; arguments and errors are those of `images`."""
        if self.folder == dataset_lib.FAKE:
            raise UserError("--input fake holds no images: its pixels are noise, see batches()")
        count = self.num_images(split)
        wanted = list(range(count)) if numbers is None else [int(number) for number in numbers]
        if wrong := [number for number in wanted if not 0 <= number < count]:
            raise UserError(f"split {split} has no image {wrong[0]}: it has {count}")
        return list(self.source.jpegs(split, wanted))

    def labels(self, split: str) -> Int32[np.ndarray, " num_images"]:
        """Returns the labels of a split in its order, int32 [num_images]."""
        return self.source.labels(split)

    def photo_ids(self, split: str) -> list[str]:
        """Returns the paths of the photos of a split in the source, in its order."""
        return photo_lists.names(self.source, split)

    def batches(self, split: str = "train", num_batches: int | None = None) -> Iterator[Mapping[str, np.ndarray]]:
        """Yields batches as numpy arrays, as training and evaluation read them.

        Args:
          split: "train" yields shuffled batches without end; val and test yield each image once, padded and masked.
          num_batches: how many to yield; None yields all.

        Yields:
          image uint8 [batch, side, side, 3], label int32 [batch], -1 for a negative (see `data.negatives`), and index
          int32 [batch] (train) or mask float32 [batch] (val, test).
        """
        opened = self.source.train_batches(0) if split == "train" else self.source.eval_batches(split)
        with contextlib.closing(opened) as batches:
            yield from itertools.islice(batches, num_batches)

    def augmented(self, num_batches: int = 1) -> Iterator[Mapping[str, np.ndarray]]:
        """Yields training batches after augmentation, as numpy arrays.

        Args:
          num_batches: number of batches to yield.

        Yields:
          image uint8 [batch, image_size, image_size, 3] and label int32 [batch].
        """
        from butterflyer_jax.preprocessing.images import denormalise
        from butterflyer_jax.training.step import make_augment

        augment = make_augment(self.config)
        for batch in self.batches("train", num_batches):
            image = denormalise(np.asarray(augment(batch, 0)), self.config.model)
            yield {"image": image, "label": np.asarray(batch["label"])}

    @cached_property
    def card(self) -> dict[str, Any]:
        """The data card: counts by species and split, rejects, near-duplicates and findings."""
        if self.folder == dataset_lib.FAKE:
            counts = {split: self.num_images(split) for split in SPLITS}
            return {"photos": sum(counts.values()), "splits": list(SPLITS)}
        return json.loads((paths.path(self.folder) / "data_card.json").read_text())

    def close(self) -> None:
        """Closes files and threads."""
        self.source.close()

    def __enter__(self) -> DataSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
