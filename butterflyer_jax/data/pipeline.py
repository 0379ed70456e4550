"""tf.data: from records to batches of uint8 numpy arrays, the same for the same (seed, epoch, batch)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from butterflyer_jax.config import Config, UserError
from butterflyer_jax.data import iterator, storage

# The accelerators are JAX's: TensorFlow would take their memory.
tf.config.set_visible_devices([], "GPU")

# Files read at once while shuffling.
CYCLE_LENGTH = 16


class RecordData:
    """A built data set as the training loop sees it.

    Attributes:
      species: names; the position is the label.
      class_counts: training photographs of each species.
      steps_per_epoch: whole batches of training photographs; the rest of a shuffled epoch is left out.
      fingerprint: of the raw zip, how it was built, and its shards; batches depend on nothing else of the data set.
    """

    def __init__(self, dataset_dir: str | os.PathLike[str], config: Config) -> None:
        """Opens the folder of a built data set.

        Raises:
          UserError: it has no training photographs, or fewer than a batch.
        """
        self._config = config
        try:
            self._builder = tfds.builder_from_directory(os.fspath(dataset_dir))
            self.species: tuple[str, ...] = tuple(self._builder.info.features["label"].names)
            card = json.loads((storage.path(dataset_dir) / "data_card.json").read_text())
            self.class_counts: tuple[int, ...] = tuple(card["species"][name]["train"] for name in self.species)
        except Exception as error:
            # TFDS raises protobuf's errors, and those of whatever another builder left out.
            raise UserError(f"{dataset_dir} is damaged, or was not built by butterflyer_jax: {error}") from error
        # Shards settle the order of reading, and `tfds build --num_shards` is not in the card.
        shards = {name: info.shard_lengths for name, info in self._builder.info.splits.items()}
        self.fingerprint = sha256(f"{card['fingerprint']} {sorted(shards.items())}".encode()).hexdigest()
        self.steps_per_epoch = self.num_photos("train") // config.batch_size
        if not self.num_photos("train"):
            raise UserError(f"{dataset_dir} has no training photographs")
        if not self.steps_per_epoch:
            raise UserError(
                f"config field batch_size = {config.batch_size} is more than the {self.num_photos('train')} training "
                "photographs; make it smaller"
            )

    def num_photos(self, split: str) -> int:
        """Returns the photographs in a split, 0 where there is no such split."""
        splits = self._builder.info.splits
        return splits[split].num_examples if split in splits else 0

    def position(self, step: int) -> iterator.Position:
        """Returns the place in the data after `step` steps."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        return iterator.Position(self._config.seed, epoch, batch, self._config.batch_size, self.fingerprint)

    def train_batches(self, start_step: int) -> Iterator[iterator.Batch]:
        """Yields training batches without end, from the one that step `start_step` takes.

        A batch holds image uint8 [batch_size, image_size, image_size, 3], a random crop; label int32 [batch_size]; and
        index int32 [batch_size], the photograph's place in the epoch, which later augmentation draws from.
        """
        return iterator.batches_from(self._train_epoch, self.steps_per_epoch, start_step)

    def _train_epoch(self, epoch: int, start_batch: int) -> Iterator[iterator.Batch]:
        config = self._config
        # One seed an epoch, from a generator that keeps (seed, epoch) pairs apart.
        epoch_seed = int(np.random.SeedSequence([config.seed, epoch]).generate_state(1)[0] >> 1)
        dataset = self._builder.as_dataset(
            split="train",
            shuffle_files=True,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(
                shuffle_seed=epoch_seed,
                shuffle_reshuffle_each_iteration=False,
                interleave_cycle_length=CYCLE_LENGTH,
                try_autocache=False,
                options=_deterministic(config.data.num_threads),
            ),
        )
        # Shuffled while encoded, and skipped before decoding: both cost little.
        dataset = dataset.shuffle(config.data.shuffle_buffer, seed=epoch_seed, reshuffle_each_iteration=False)
        dataset = dataset.take(self.steps_per_epoch * config.batch_size).enumerate()
        dataset = dataset.skip(start_batch * config.batch_size)

        def load(index: tf.Tensor, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            seed = tf.stack([tf.constant(epoch_seed, tf.int64), index])
            return {
                "image": random_crop(example["image"], seed, config),
                "label": tf.cast(example["label"], tf.int32),
                "index": tf.cast(index, tf.int32),
            }

        dataset = dataset.map(load, num_parallel_calls=_parallel_calls(config.data.num_threads))
        dataset = dataset.batch(config.batch_size, drop_remainder=True).prefetch(2)
        return dataset.as_numpy_iterator()

    def eval_batches(self, split: str) -> Iterator[iterator.Batch]:
        """Yields each photograph of a split once, in a fixed order.

        A batch holds image uint8 [batch_size, image_size, image_size, 3], the central crop; label int32 [batch_size];
        and mask float32 [batch_size], 0 where the last batch is padded.
        """
        config = self._config
        dataset = self._builder.as_dataset(
            split=split,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False, options=_deterministic(config.data.num_threads)),
        )

        def load(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            return {"image": central_crop(example["image"], config), "label": tf.cast(example["label"], tf.int32)}

        dataset = dataset.map(load, num_parallel_calls=_parallel_calls(config.data.num_threads))
        for batch in dataset.batch(config.batch_size).prefetch(2).as_numpy_iterator():
            yield iterator.pad_batch(batch, config.batch_size)


def _deterministic(num_threads: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Every stage has its size; tuning's own thread can hold up the end of an epoch for seconds.
    options.autotune.enabled = False
    if num_threads:
        options.threading.private_threadpool_size = num_threads
    return options


def _parallel_calls(num_threads: int) -> int:
    return num_threads or os.cpu_count() or 1


def random_crop(jpeg: tf.Tensor, seed: tf.Tensor, config: Config) -> tf.Tensor:
    """Decodes a random part of a JPEG and scales it to the input size.

    Area and aspect are drawn as in Inception (Szegedy et al. 2015, arXiv:1409.4842); only the part is decoded.

    Args:
      jpeg: string [].
      seed: int64 [2]; the same seed, the same crop.

    Returns:
      uint8 [image_size, image_size, 3].
    """
    aspect = config.augment.crop_max_aspect
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.io.extract_jpeg_shape(jpeg),
        bounding_boxes=tf.zeros([1, 0, 4]),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=(1 / aspect, aspect),
        area_range=(config.augment.crop_min_area, 1.0),
        max_attempts=20,
        use_image_if_no_bounding_boxes=True,
    )
    return _crop_and_resize(jpeg, begin[0], begin[1], size[0], size[1], config.data.image_size)


def central_crop(jpeg: tf.Tensor, config: Config) -> tf.Tensor:
    """Decodes the central square of a JPEG and scales it to the input size, as `photo.central_crop` does.

    Returns:
      uint8 [image_size, image_size, 3].
    """
    shape = tf.io.extract_jpeg_shape(jpeg)
    short_side = tf.cast(tf.minimum(shape[0], shape[1]), tf.float64)
    side = tf.maximum(1, tf.cast(tf.round(short_side * config.data.eval_crop_fraction), tf.int32))
    return _crop_and_resize(jpeg, (shape[0] - side) // 2, (shape[1] - side) // 2, side, side, config.data.image_size)


def _crop_and_resize(jpeg: Any, top: Any, left: Any, height: Any, width: Any, image_size: int) -> tf.Tensor:
    # The accurate transform costs no measurable time, and decodes as Pillow does when it predicts.
    crop = tf.image.decode_and_crop_jpeg(
        jpeg, tf.stack([top, left, height, width]), channels=3, dct_method="INTEGER_ACCURATE"
    )
    resized = tf.image.resize(crop, (image_size, image_size), method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
