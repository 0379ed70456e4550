"""The cache of decoded photos: each is decoded once, into memory or a file on the local disk, and read in parts."""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg

from butterflyer_jax.console import progress, say
from butterflyer_jax.data.input.shard_reader import Photographs, Reader
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, locks, open_files

# Number of photos that a thread decodes at a time.
_CHUNK = 64
# Number of chunks above which decoding shows its progress.
_SHOWN = 100


class Pixels:
    """All photos of a split as uint8 RGB, one after another, in memory or in a file.

    A file is read by position and not mapped: its pages would count as this process's memory.
    """

    def __init__(self, photos: Photographs, store: np.ndarray | int) -> None:
        """Wraps photos and their store: uint8 [decoded_bytes], or the descriptor of an open file."""
        sizes = 3 * photos.height.astype(np.int64) * photos.width
        self._offset = np.cumsum(sizes) - sizes
        self._width, self._store = photos.width, store

    def rows(self, number: int, top: int, height: int) -> np.ndarray:
        """Returns uint8 [height, width, 3], full rows of a photo starting at `top`."""
        width = int(self._width[number])
        start, size = int(self._offset[number]) + 3 * width * top, 3 * width * height
        if isinstance(self._store, int):
            pixels = np.frombuffer(open_files.read_at(self._store, size, start), np.uint8)
        else:
            pixels = self._store[start : start + size]
        return pixels.reshape(height, width, 3)

    def fill(self, canvas: np.ndarray, numbers: np.ndarray, windows: np.ndarray) -> None:
        """Copies a part of each photo to the upper left of a canvas of its own.

        Args:
          canvas: uint8 [n, side, side, 3].
          numbers: int [n], numbers of the photos in their split.
          windows: int32 [n, 4], part of each: top, left, height, width, pixels.
        """
        for image, number, (top, left, height, width) in zip(canvas, numbers, windows.tolist(), strict=True):
            image[:height, :width] = self.rows(number, top, height)[:, left : left + width]

    def close(self) -> None:
        """Closes the file, or frees the memory."""
        if isinstance(self._store, int):
            os.close(self._store)
        self._store = np.empty(0, np.uint8)


def in_memory(photos: Photographs, num_threads: int, name: str) -> Pixels:
    """Decodes all photos into memory.

    Raises:
      UserError: there is too little memory, or a record is damaged.
    """
    try:
        store = np.empty(photos.decoded_bytes, np.uint8)
    except MemoryError as error:
        raise UserError(
            f"no memory for {photos.decoded_bytes / 2**30:.1f} GiB of decoded photographs: lower data.cache_gib"
        ) from error

    def write(start: int, pixels: np.ndarray) -> None:
        store[start : start + pixels.size] = pixels.reshape(-1)

    _decode_all(photos, num_threads, write, name)
    return Pixels(photos, store)


def on_disk(photos: Photographs, num_threads: int, name: str, path: Path) -> Pixels:
    """Opens the file that holds all decoded photos; creates it the first time.

    Another process that wants the same file waits for the one that makes it.

    Raises:
      UserError: there is no space for it, or a record is damaged.
    """
    with locks.hold(f"{path}.lock", f"data: waiting for another process that writes {path}", wait=True):
        if not path.exists() or path.stat().st_size != photos.decoded_bytes:
            say(f"data: decoding {len(photos)} photographs once to {path}, {photos.decoded_bytes / 2**30:.2f} GiB")
            _write_file(photos, num_threads, name, path)
    return Pixels(photos, os.open(path, os.O_RDONLY))


def _write_file(photos: Photographs, num_threads: int, name: str, path: Path) -> None:
    # Of a process that was killed.
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink()
    what = f"{photos.decoded_bytes / 2**30:.1f} GiB of decoded photographs"
    advice = "make space, set BUTTERFLYER_CACHE to a folder on a larger disk, or set data.mode=jpeg"
    with files.whole_file(path, what, advice) as temporary:
        if shutil.disk_usage(path.parent).free < photos.decoded_bytes:
            # Reported before the work, not after it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with Path(temporary).open("wb") as file:
            _decode_all(photos, num_threads, lambda start, pixels: _write_at(file.fileno(), pixels, start), name)


def _write_at(descriptor: int, pixels: np.ndarray, start: int) -> None:
    view = pixels.reshape(-1).data
    while view:
        written = os.pwrite(descriptor, view, start)
        view, start = view[written:], start + written


def _decode_all(photos: Photographs, num_threads: int, write: Callable[[int, np.ndarray], None], name: str) -> None:
    """Decodes all photos and calls `write` with the offset and the pixels of each, in order, from many threads."""
    sizes = 3 * photos.height.astype(np.int64) * photos.width
    starts = (np.cumsum(sizes) - sizes).tolist()

    def decode(numbers: range, jpegs: Sequence[bytes]) -> None:
        for number, jpeg in zip(numbers, jpegs, strict=True):
            write(starts[number], simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=False, fastupsample=False))

    chunks = [range(start, min(start + _CHUNK, len(photos))) for start in range(0, len(photos), _CHUNK)]
    with ThreadPoolExecutor(num_threads) as pool, contextlib.closing(Reader(photos)) as reader:
        under_way: collections.deque[Future[None]] = collections.deque()
        shown = progress(chunks, len(chunks), f"decoding {name} photographs, parts") if len(chunks) > _SHOWN else chunks
        for chunk in shown:
            reader.want(range(photos.shard[chunk.start], photos.num_shards))
            under_way.append(pool.submit(decode, chunk, [reader.jpeg(number) for number in chunk]))
            # Only a few chunks of encoded photos are in memory.
            if len(under_way) > 2 * num_threads:
                under_way.popleft().result()
        for future in under_way:
            future.result()
