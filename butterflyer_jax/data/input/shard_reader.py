"""The reader of shards: sizes and labels of a split's photos from the indexes, JPEGs one by one."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator, Sequence
from hashlib import sha256

import google_crc32c
import numpy as np
from jaxtyping import Integer

from butterflyer_jax.data import shard_format
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import open_files
from butterflyer_jax.storage.folder import Files

# Limit for each reader; systems allow a process some hundreds.
MAX_OPEN_FILES = 128


class Photos:
    """The photos of a split, by their number in it: 0 is the first of the first shard.

    Attributes:
      shard: int32 [num_photos], number of the shard that holds each photo.
      height, width: int32 [num_photos], pixels.
      label: int32 [num_photos].
      boxes: float32 [num_photos, 4], left, top, right, bottom of the butterfly from 0 to 1, NaN where they are not
        known; None where no photo has a box.
      photo_ids: path of each photo in its source; empty where an earlier version built the data set.
      num_shards: number of shards of the split.
      num_bytes: size of all JPEGs together.
      decoded_bytes: size of all pixels together, as uint8 RGB.
      fingerprint: fingerprint of all JPEGs, labels and boxes.
    """

    def __init__(self, files: Files, names: Sequence[str], lengths: Sequence[int]) -> None:
        """Reads the indexes of the shards `names`, which hold `lengths` photos.

        Raises:
          OSError, ValueError: an index is missing or damaged.
        """
        self.files, self.names = files, list(names)
        indexes = [shard_format.index_name(name) for name in names]
        files.prefetch(indexes)
        read = [_read_index(files, name, length) for name, length in zip(indexes, lengths, strict=True)]
        tables = [table for table, *_ in read]
        self.num_shards = len(tables)
        self.held: list[bytes] = []
        shard = np.repeat(np.arange(len(tables), dtype=np.int32), [len(table) for table in tables])
        boxes = _joined_boxes([(len(table), boxes) for table, _, boxes in read])
        self._fill(np.concatenate([np.empty(0, shard_format.INDEX), *tables]), shard, boxes)
        self.photo_ids = _joined([(len(table), names) for table, names, _ in read])

    def _fill(self, table: np.ndarray, shard: np.ndarray, boxes: np.ndarray | None) -> None:
        self._table, self.shard, self.boxes = table, shard, boxes
        self.fingerprint = sha256(table.tobytes() + (b"" if boxes is None else boxes.tobytes())).hexdigest()
        self.offset, self.num_jpeg_bytes, self.checksum = table["offset"], table["num_bytes"], table["checksum"]
        self.height, self.width, self.label = (table[name].astype(np.int32) for name in ("height", "width", "label"))
        self.num_bytes = int(self.num_jpeg_bytes.sum(dtype=np.int64))
        self.decoded_bytes = int((3 * self.height.astype(np.int64) * self.width).sum())

    def join(self, others: Sequence[Photos]) -> Photos:
        """Returns these photos and those of other splits of the data set, one split after another."""
        result, parts = copy.copy(self), [self, *others]
        result.names = [name for part in parts for name in part.names]
        result.num_shards, result.held = len(result.names), []
        first = np.cumsum([0, *(part.num_shards for part in parts)], dtype=np.int32)
        shard = np.concatenate([part.shard + start for part, start in zip(parts, first, strict=False)])
        boxes = _joined_boxes([(len(part), part.boxes) for part in parts])
        result._fill(np.concatenate([part._table for part in parts]), shard, boxes)
        result.photo_ids = _joined([(len(part), part.photo_ids) for part in parts])
        return result

    def choose(self, numbers: Integer[np.ndarray, " n"]) -> Photos:
        """Returns some of the photos, by ascending numbers; shards in memory are held once for all."""
        result = copy.copy(self)
        boxes = None if self.boxes is None else self.boxes[numbers]
        result._fill(self._table[numbers], self.shard[numbers], boxes)
        result.photo_ids = [self.photo_ids[number] for number in numbers] if self.photo_ids else []
        return result

    def __len__(self) -> int:
        return len(self.shard)

    def hold(self) -> None:
        """Reads all shards into memory; readers take them from there.

        Raises:
          UserError: a shard cannot be read.
        """
        if not self.held:
            with contextlib.closing(Reader(self)) as reader:
                self.held += [reader.whole_shard(number) for number in range(self.num_shards)]


class Reader:
    """Reads JPEGs of a split one by one; each thread that reads has its own."""

    def __init__(self, photos: Photos) -> None:
        self._photos = photos
        self._open: dict[int, io.FileIO] = {}
        self._wanted: Sequence[int] = ()

    def want(self, shards: Sequence[int]) -> None:
        """Prefetches the shards that will be read, in this order, and closes all others."""
        if self._photos.held or self._wanted == shards:
            return
        self._wanted = shards
        for number in [number for number in self._open if number not in shards]:
            self._open.pop(number).close()
        # Open files stay readable even after they are removed.
        self._photos.files.prefetch([self._photos.names[number] for number in shards if number not in self._open])

    def jpeg(self, number: int) -> bytes:
        """Returns the JPEG of a photo.

        Raises:
          UserError: the JPEG is damaged or cannot be read.
        """
        photos = self._photos
        shard = int(photos.shard[number])
        start, size = int(photos.offset[number]), int(photos.num_jpeg_bytes[number])
        if photos.held:
            jpeg = photos.held[shard][start : start + size]
        else:
            with self._reading(shard):
                jpeg = open_files.read_at(self._file(shard), size, start)
        if google_crc32c.value(jpeg) != photos.checksum[number]:
            raise UserError(photos.files.advice(photos.names[shard]))
        return jpeg

    def whole_shard(self, shard: int) -> bytes:
        """Returns the content of a shard, and starts to prefetch the following ones.

        Raises:
          UserError: the shard cannot be read.
        """
        self.want(range(shard, self._photos.num_shards))
        with self._reading(shard):
            return self._file(shard).readall()

    def close(self) -> None:
        """Closes all files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    @contextlib.contextmanager
    def _reading(self, shard: int) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise UserError(self._photos.files.advice(self._photos.names[shard])) from error
        except OSError as error:
            raise UserError(f"cannot read {self._photos.names[shard]}: {error.strerror or error}") from error

    def _file(self, shard: int) -> io.FileIO:
        if shard not in self._open:
            if len(self._open) >= MAX_OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            self._open[shard] = self._photos.files.open(self._photos.names[shard])
        return self._open[shard]


def _joined(parts: Sequence[tuple[int, list[str]]]) -> list[str]:
    """Returns the photo_ids of (count, photo_ids) one after another, or none where those of a part are not known."""
    return [name for _, names in parts for name in names] if all(len(names) == n for n, names in parts) else []


def _joined_boxes(parts: Sequence[tuple[int, np.ndarray | None]]) -> np.ndarray | None:
    """Returns the boxes of (count, boxes) one after another, None where no part has any."""
    if all(boxes is None for _, boxes in parts):
        return None
    return np.concatenate([np.full((n, 4), np.nan, np.float32) if boxes is None else boxes for n, boxes in parts])


def _read_index(files: Files, name: str, length: int) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    with files.open(name) as file:
        content = file.readall()
    try:
        return shard_format.read_index(content, length)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
