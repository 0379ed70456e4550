"""The photographs of a split as they lie in the shards: sizes and labels from the index, JPEGs one by one."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import google_crc32c
import numpy as np

from butterflyer_jax.config import UserError
from butterflyer_jax.data import records


class Files(Protocol):
    """Where shards and indexes are read from: a local folder, or a bucket's copies in `staging.Staging`."""

    @property
    def waited_seconds(self) -> float:
        """How long `open` has waited so far for files to arrive."""

    @property
    def copied_bytes(self) -> int:
        """How much came over the network so far."""

    def prefetch(self, names: Sequence[str]) -> None:
        """Tells which files will be opened, in this order."""

    def open(self, name: str) -> io.FileIO:
        """Returns a file, open for reading, of which no byte will change."""

    def close(self) -> None:
        """Ends what is under way; what is open stays so."""


class LocalFiles:
    """Files of a local folder: what is local is there."""

    waited_seconds = 0.0
    copied_bytes = 0

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def prefetch(self, names: Sequence[str]) -> None:
        """Does nothing."""

    def open(self, name: str) -> io.FileIO:
        """Returns a file, open for reading."""
        return io.FileIO(self._folder / name)

    def close(self) -> None:
        """Does nothing."""


class Photographs:
    """The photographs of a split, by their number in it: 0 is the first of the first shard.

    Attributes:
      shard: int32 [num_photos], the number of the shard that each lies in.
      height, width: int32 [num_photos], pixels.
      label: int32 [num_photos].
      num_shards: the shards of the split.
      num_bytes: of all JPEGs together.
      decoded_bytes: of all pixels together, as uint8 RGB.
    """

    def __init__(self, files: Files, names: Sequence[str]) -> None:
        """Reads the indexes of the shards `names`.

        Raises:
          OSError, ValueError: an index is missing or damaged.
        """
        self._files, self._names = files, list(names)
        indexes = [records.index_name(name) for name in names]
        files.prefetch(indexes)
        tables = [_read_index(files, name) for name in indexes]
        table = np.concatenate([np.empty(0, records.INDEX), *tables])
        self._offset, self._num_bytes, self._checksum = table["offset"], table["num_bytes"], table["checksum"]
        self.shard = np.repeat(np.arange(len(tables), dtype=np.int32), [len(table) for table in tables])
        self.height, self.width, self.label = (table[name].astype(np.int32) for name in ("height", "width", "label"))
        self.num_bytes = int(self._num_bytes.sum(dtype=np.int64))
        self.decoded_bytes = int((3 * self.height.astype(np.int64) * self.width).sum())
        self.num_shards = len(tables)
        self._open: dict[int, io.FileIO] = {}
        self._held: dict[int, bytes] = {}
        self._wanted: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.shard)

    def want(self, shards: Sequence[int]) -> None:
        """Tells which shards will be read, in this order, and closes all others."""
        if self._wanted == shards:
            return
        self._wanted = shards
        for number in [number for number in self._open if number not in shards]:
            self._open.pop(number).close()
        # What is open stays readable, even where its file is removed.
        self._files.prefetch([self._names[number] for number in shards if number not in self._open])

    def hold(self) -> None:
        """Reads all shards into memory, to be read from there.

        Raises:
          UserError: one cannot be read.
        """
        for number in range(self.num_shards):
            self.want(range(number, self.num_shards))
            self._held[number] = self._file(number).readall()
        self.want(())

    def jpeg(self, number: int) -> bytes:
        """Returns the JPEG of a photograph.

        Raises:
          UserError: it is not what was written, or cannot be read.
        """
        shard = int(self.shard[number])
        start, size = int(self._offset[number]), int(self._num_bytes[number])
        if shard in self._held:
            jpeg = self._held[shard][start : start + size]
        else:
            try:
                jpeg = os.pread(self._file(shard).fileno(), size, start)
            except OSError as error:
                raise UserError(f"cannot read {self._names[shard]}: {error.strerror or error}") from error
        if google_crc32c.value(jpeg) != self._checksum[number]:
            raise UserError(f"{self._names[shard]} is damaged: build the data set again, or copy it anew")
        return jpeg

    def _file(self, shard: int) -> io.FileIO:
        if shard not in self._open:
            try:
                self._open[shard] = self._files.open(self._names[shard])
            except OSError as error:
                raise UserError(f"cannot open {self._names[shard]}: {error.strerror or error}") from error
        return self._open[shard]


def _read_index(files: Files, name: str) -> np.ndarray:
    with files.open(name) as file:
        table = np.load(io.BytesIO(file.readall()), allow_pickle=False)
    if table.dtype != records.INDEX:
        raise ValueError(f"{name} is of another version")
    return table
