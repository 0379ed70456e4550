"""Fake data, noise without TensorFlow or a disk, to measure the step without the input pipeline."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

import numpy as np
from jaxtyping import Int32

from butterflyer_jax.config import Config
from butterflyer_jax.data.ingest.words import NEGATIVES
from butterflyer_jax.data.input import position as position_lib
from butterflyer_jax.data.input import sampler
from butterflyer_jax.errors import UserError

NUM_SPECIES = 100
STEPS_PER_EPOCH = 100
EVAL_PHOTOS = 100


class FakeData:
    """A data set with the interface of `RecordData` whose pixels and labels are noise."""

    fingerprint = "fake"

    def __init__(self, config: Config, process_index: int = 0, process_count: int = 1) -> None:
        self._config = config
        self._host = sampler.host_slice(config.batch_size, process_index, process_count)
        self.species = tuple(f"Species {i}" for i in range(NUM_SPECIES))
        self.class_counts = (STEPS_PER_EPOCH * config.batch_size // NUM_SPECIES,) * NUM_SPECIES
        self.steps_per_epoch = STEPS_PER_EPOCH
        # One batch of pixels, made once, so that only the step is measured.
        shape = (config.batch_size // process_count, config.data.image_size, config.data.image_size, 3)
        self._image = np.random.default_rng(config.seed).integers(0, 256, shape, np.uint8)

    def num_photos(self, split: str) -> int:
        """Returns the number of photos in a split."""
        if split == NEGATIVES:
            return 0
        return STEPS_PER_EPOCH * self._config.batch_size if split == "train" else EVAL_PHOTOS

    def labels(self, split: str) -> Int32[np.ndarray, " num_photos"]:
        """Returns the labels of a split, int32 [num_photos], in the order of `eval_batches`."""
        return (np.arange(self.num_photos(split)) % NUM_SPECIES).astype(np.int32)

    def photo_ids(self, split: str) -> list[str]:
        """Returns nothing: noise comes from no source."""
        return []

    def photo_spec(self) -> position_lib.PhotoSpec:
        """Returns shape and dtype of each array of one photo in a training batch."""
        return position_lib.photo_spec(self._config.data.image_size)

    def position(self, step: int) -> position_lib.Position:
        """Returns the position in the data after `step` steps."""
        return position_lib.Position.after(step, self.steps_per_epoch, self._config, self.fingerprint)

    def train_batches(self, start_step: int) -> Generator[position_lib.Batch, None, None]:
        """Yields training batches without end; shapes as in `RecordData.train_batches`."""
        return position_lib.batches_from(self._train_epoch, self.steps_per_epoch, start_step)

    def jpegs(self, split: str, numbers: Iterable[int]) -> Iterator[bytes]:
        """Raises a UserError: fake data has no JPEGs."""
        raise UserError("input fake holds no images: its pixels are noise")

    def frames(self, split: str) -> None:
        """Returns None: fake photos have no boxes."""

    def bottleneck(self) -> str:
        """Returns an empty text, as fake data is never the bottleneck."""
        return ""

    def close(self) -> None:
        """Does nothing."""

    def _train_epoch(self, epoch: int, start_batch: int) -> Iterator[position_lib.Batch]:
        size = self._config.batch_size
        for batch in range(start_batch, self.steps_per_epoch):
            label = np.random.default_rng([self._config.seed, epoch, batch]).integers(0, NUM_SPECIES, size, np.int32)
            yield {
                "image": self._image,
                "label": sampler.with_negatives(label, sampler.negative_places(self._config, epoch, batch))[self._host],
                "index": np.arange(batch * size, (batch + 1) * size, dtype=np.int32)[self._host],
            }

    def eval_batches(self, split: str) -> Generator[position_lib.Batch, None, None]:
        """Yields each photo of a split once; shapes as in `RecordData.eval_batches`."""
        size = self._config.batch_size
        for start in range(0, self.num_photos(split), size):
            place = np.arange(start, start + size)[self._host]
            mask = (place < self.num_photos(split)).astype(np.float32)
            yield {"image": self._image, "label": (place % NUM_SPECIES).astype(np.int32), "mask": mask}
