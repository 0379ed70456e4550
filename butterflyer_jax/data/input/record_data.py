"""A built data set as batches of uint8 NumPy arrays, the same for the same (seed, epoch, batch)."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Generator, Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import psutil
from jaxtyping import Int32

from butterflyer_jax import cores
from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.data import shard_format
from butterflyer_jax.data.ingest.words import NEGATIVES
from butterflyer_jax.data.input import crops, dataset_folder, loader, pixel_cache, sampler
from butterflyer_jax.data.input import position as position_lib
from butterflyer_jax.data.input.loader import Stages
from butterflyer_jax.data.input.shard_reader import Reader
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import folder, paths

GIB = 1 << 30
# Number of batches prepared ahead.
AHEAD = 2
# Pixels by which a canvas exceeds the largest window in it: the decoder's margin on both sides.
MARGINS = 4
READING_SHARE = 0.8
# Share of the slowest stage's time from which on the bucket's copies are reported as the bottleneck.
STAGING_SHARE = 0.5
# Image sides are multiples of this, which suits accelerators.
SIDE_MULTIPLE = 8


class RecordData:
    """A built data set as the training loop sees it; each batch is this host's part of a global one.

    A batch holds image uint8 [n, side, side, 3], label int32 [n], -1 for a negative (see `data.negatives`), and either
    index int32 [n], the photo's place in the epoch, which augmentation draws from, or in evaluation mask float32 [n], 0
    where the last batch is filled up. Where the device makes the crops it also holds window int32 [n, 4]: top, left,
    height and width of the part of the image that is to be scaled to image_size; else the image is that part already,
    and side is image_size.

    Attributes:
      species: names of the species, in the order of the labels.
      class_counts: number of training photos of each species.
      steps_per_epoch: number of whole batches of training photos; the rest of a shuffled epoch is left out.
      fingerprint: fingerprint of all photos and their order in the shards; batches depend on nothing else of the data.
      mode: resolved `data.mode`: jpeg, encoded (JPEGs in memory), cache (pixels in memory) or raw (pixels on the disk).
      crop_on_device: resolved `data.crop`.
    """

    def __init__(
        self,
        dataset_dir: str | os.PathLike[str],
        config: Config,
        accelerator: bool = False,
        process_index: int = 0,
        process_count: int = 1,
        for_training: bool = True,
    ) -> None:
        """Opens the folder of a built data set.

        Args:
          dataset_dir: folder of the data set, local or gs://.
          config: config of the run.
          accelerator: whether a GPU or TPU trains; with `data.crop` auto it crops.
          process_index, process_count: number of this process, from 0, and number of all.
          for_training: whether training photos are needed, and a batch of them.

        Raises:
          UserError: it is damaged, has no training photos or fewer than a batch, does not fit where `data.mode`
            wants it, or hosts cannot take equal parts of a batch.
        """
        if config.batch_size % process_count:
            raise UserError(
                f"config field batch_size = {config.batch_size} must be a multiple of the {process_count} hosts"
            )
        self._config, self._folder = config, paths.path(dataset_dir)
        self._host = sampler.host_slice(config.batch_size, process_index, process_count)
        self.crop_on_device = config.data.crop == "device" or (config.data.crop == "auto" and accelerator)
        contents = dataset_folder.read_contents(self._folder)
        self.species, self.class_counts = contents.species, contents.class_counts
        self._threads = loader.Threads(config.data.num_threads or cores.usable())
        self._stages, self._staging_reported = Stages(), 0.0
        self._pixels: dict[str, pixel_cache.Pixels] = {}
        self._files = self._open_files([name for names in contents.shards.values() for name in names])
        try:
            self._photos = dataset_folder.read_photos(self._folder, self._files, contents)
            if config.data.num_folds:
                self._photos = dataset_folder.divide(self._folder, self._photos, self.species, config.data)
                of_species = np.bincount(self._photos["train"].label, minlength=len(self.species))
                self.class_counts = tuple(of_species.tolist())
            num_train = self.num_photos("train")
            if for_training and not num_train:
                raise UserError(f"{dataset_dir} has no training photos")
            self.steps_per_epoch = num_train // config.batch_size
            if for_training and not self.steps_per_epoch:
                raise UserError(
                    f"config field batch_size = {config.batch_size} is more than the {num_train} training photos; "
                    "make it smaller"
                )
            # Shards settle the order of reading, and their indexes hold the checksum of every JPEG.
            lengths = contents.lengths
            parts = sorted((split, lengths.get(split, []), of.fingerprint) for split, of in self._photos.items())
            self.fingerprint = sha256(f"{self.species} {parts}".encode()).hexdigest()
            self.mode = self._choose_mode()
        except BaseException:
            self.close()
            raise

    def _open_files(self, shards: list[str]) -> folder.Files:
        # Indexes first: nothing can be read without them.
        names = [shard_format.index_name(name) for name in shards] + shards
        return folder.open_folder(self._folder, names, int(self._config.data.staging_gib * GIB))

    def num_photos(self, split: str) -> int:
        """Returns the number of photos in a split, 0 if there is no such split."""
        return len(self._photos.get(split, ()))

    def labels(self, split: str) -> Int32[np.ndarray, " num_photos"]:
        """Returns the labels of a split, int32 [num_photos], in the order of `eval_batches`."""
        return self._photos[split].label

    def photo_ids(self, split: str) -> list[str]:
        """Returns the paths of a split's photos in their source, in the order of `eval_batches`; [] if not known."""
        photos = self._photos.get(split)
        return dataset_folder.photo_ids(self._folder, split, photos, self.species) if photos else []

    def photo_spec(self) -> position_lib.PhotoSpec:
        """Returns shape and dtype of each array of one photo in a training batch."""
        if not self.crop_on_device:
            return position_lib.photo_spec(self._config.data.image_size)
        return position_lib.photo_spec(_canvas_side(self._largest_part()), windowed=True)

    def _largest_part(self) -> int:
        photos = self._photos["train"]
        return crops.largest_side(photos.height, photos.width, self._config.augment)

    def position(self, step: int) -> position_lib.Position:
        """Returns the position in the data after `step` steps."""
        return position_lib.Position.after(step, self.steps_per_epoch, self._config, self.fingerprint)

    def train_batches(self, start_step: int) -> Generator[position_lib.Batch, None, None]:
        """Yields training batches without end, from the one that step `start_step` takes."""
        # Everything that validation needs is prepared now: a lack of space shows before an epoch is spent.
        for split in ("train", "val"):
            self._keep(split)
        photos = self._photos["train"]
        of_user = self.num_photos(NEGATIVES)
        wanted = sampler.training(photos, self._config, start_step, self.steps_per_epoch, self._host, of_user)
        yield from self._batches("train", wanted, self._largest_part(), self._stages)

    def train_jpegs(self) -> Generator[list[bytes], None, None]:
        """Yields what `train_batches` decodes, for measuring: the JPEGs of each batch."""
        photos = self._photos["train"]
        with contextlib.closing(Reader(photos)) as reader:
            for request in sampler.training(photos, self._config, 0, self.steps_per_epoch, self._host):
                yield loader.read_jpegs(reader, request)

    def jpegs(self, split: str, numbers: Iterable[int]) -> Iterator[bytes]:
        """Yields stored JPEGs of a split, by their places in the order of `eval_batches`."""
        with contextlib.closing(Reader(self._photos[split])) as reader:
            for number in numbers:
                reader.want([int(self._photos[split].shard[number])])
                yield reader.jpeg(number)

    def eval_batches(self, split: str) -> Generator[position_lib.Batch, None, None]:
        """Yields each photo of a split once, in a fixed order."""
        photos = self._photos[split]
        largest = sampler.evaluation_windows(photos, self._config)[:, 2].max()
        yield from self._batches(split, sampler.evaluation(photos, self._config, self._host), int(largest), Stages())

    def frames(self, split: str) -> np.ndarray | None:
        """Returns what stands for each photo in evaluation, int32 [num_photos, 4]; None where all are looked at whole.

        Top, left, height and width of the surroundings of its box, pixels of the stored JPEG; zeros for the whole.
        """
        photos = self._photos[split]
        if photos.boxes is None or not sampler.uses_boxes(photos, self._config, for_training=False):
            return None
        known = ~np.isnan(photos.boxes).any(axis=1)
        return np.where(known[:, None], sampler.frames(photos, self._config, for_training=False), 0).astype(np.int32)

    def bottleneck(self) -> str:
        """Returns the stage that made training wait since the last call, and what to change; empty if none did."""
        spent = self._stages.since_last()
        if not spent:
            return ""
        stage = max(spent, key=lambda name: spent[name])
        staging = self._files.waited_seconds - self._staging_reported
        self._staging_reported += staging
        if staging > STAGING_SHARE * spent[stage]:
            return self._advice("staging")
        # Records are read ahead of the decoder: they hold it up only where reading takes as long as the whole.
        if stage == "decoding" and spent.get("reading", 0.0) > READING_SHARE * spent["decoding"]:
            stage = "reading"
        return self._advice(stage)

    def _advice(self, stage: str) -> str:
        pixels = sum(photos.decoded_bytes for photos in self._photos.values()) / GIB
        match stage:
            case "staging":
                return (
                    f"copying shards from {self._folder}: the first epoch is as fast as the network, and so is each "
                    "where data.staging_gib is less than the data set"
                )
            case "reading":
                return f"reading records from {self._folder}: take a faster disk, or set data.mode=cache"
            case "decoding":
                return (
                    f"decoding JPEGs in {self._threads.number} threads: resume with data.mode=raw ({pixels:.1f} GiB on "
                    f"disk), or data.mode=cache and data.cache_gib={math.ceil(pixels)} if memory allows, or more cores"
                )
            case "drawing":
                return (
                    f"drawing negatives in {self._threads.number} threads: take a smaller data.negatives, or more cores"
                )
            case "copying" if self.mode == "raw":
                return "reading decoded photos: take a faster disk, or set data.mode=cache"
            case "copying":
                return "copying decoded photos: take more cores"
            case _:
                return f"cropping in {self._threads.number} threads: set data.crop=device, or take more cores"

    def close(self) -> None:
        """Frees threads, files and memory."""
        self._files.close()
        self._threads.close()
        for pixels in self._pixels.values():
            pixels.close()
        self._pixels.clear()

    def _batches(
        self, split: str, wanted: Iterator[sampler.Request], largest: int, stages: Stages
    ) -> Generator[position_lib.Batch, None, None]:
        made = self._canvases(split, wanted, _canvas_side(largest), stages)
        if not self.crop_on_device:
            made = loader.crop_on_host(made, self._config.data.image_size, self._threads, stages)
        return loader.in_background(made, AHEAD)

    def _canvases(
        self, split: str, wanted: Iterator[sampler.Request], side: int, stages: Stages
    ) -> Iterator[position_lib.Batch]:
        self._keep(split)
        of_user = self._photos.get(NEGATIVES)
        if split not in self._pixels:
            return loader.from_jpegs(self._photos[split], wanted, side, self._threads, stages, of_user)
        return loader.from_pixels(self._pixels[split], wanted, side, self._threads, stages, of_user)

    def _keep(self, split: str) -> None:
        """Loads a split into the store of `mode`, the first time."""
        photos = self._photos.get(split)
        if not photos or split in self._pixels:
            return
        if self.mode == "raw":
            path = Path(paths.cache_dir()) / "raw" / f"{self.fingerprint[:16]}-{split}.rgb"
            self._pixels[split] = pixel_cache.on_disk(photos, self._threads.number, split, path)
        elif self.mode == "cache":
            say(f"data: {len(photos)} {split} photos decoded in memory, {photos.decoded_bytes / GIB:.2f} GiB")
            self._pixels[split] = pixel_cache.in_memory(photos, self._threads.number, split)
        elif self.mode == "encoded" and not photos.held:
            say(f"data: {len(photos)} {split} JPEGs kept in memory, {photos.num_bytes / GIB:.2f} GiB")
            photos.hold()

    def _choose_mode(self) -> str:
        """Returns jpeg, encoded, cache or raw."""
        mode, limit = self._config.data.mode, self._config.data.cache_gib
        free = psutil.virtual_memory().available / GIB
        pixels = sum(photos.decoded_bytes for photos in self._photos.values()) / GIB
        jpegs = sum(photos.num_bytes for photos in self._photos.values()) / GIB
        if mode in ("jpeg", "raw"):
            return mode
        # Automatic mode takes at most half of the free memory.
        if pixels <= (limit if mode == "cache" else min(limit, free / 2)):
            return "cache"
        if mode == "auto":
            return "jpeg"
        if jpegs > limit:
            raise UserError(
                f"data.mode=cache needs {jpegs:.1f} GiB of memory for JPEGs or {pixels:.1f} GiB for pixels: raise "
                f"data.cache_gib = {limit}, or set data.mode=raw or data.mode=jpeg"
            )
        return "encoded"


def _canvas_side(largest: int) -> int:
    return -(-(largest + MARGINS) // SIDE_MULTIPLE) * SIDE_MULTIPLE
