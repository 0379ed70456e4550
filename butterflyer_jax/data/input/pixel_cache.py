"""The cache of decoded photos: each is decoded once, into memory or a file on the local disk, and read in parts."""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import numpy as np
import simplejpeg
from jaxtyping import Int32, Integer, UInt8

from butterflyer_jax.console import progress, say
from butterflyer_jax.data.input.shard_reader import Photos, Reader
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, locks, open_files

# Number of photos that a thread decodes at a time.
_CHUNK = 64
# Number of chunks above which decoding shows its progress.
_SHOWN = 100
_CHECKSUM = np.dtype("<u4")


class CheckedFile:
    """A file of decoded photos, followed by a CRC-32C of each, little-endian uint32.

    A photo is compared with its checksum when this process reads it for the first time; one that differs is decoded
    again. The file is read by position and not mapped: its pages would count as this process's memory.
    """

    def __init__(self, photos: Photos, path: Path) -> None:
        """Opens the file at `path`, of size `file_bytes(photos)`."""
        self._photos, self._path = photos, path
        self._offset, self._size = _places(photos)
        self._descriptor = os.open(path, os.O_RDONLY)
        checksums = open_files.read_at(self._descriptor, 4 * len(photos), photos.decoded_bytes)
        self._checksum = np.frombuffer(checksums, _CHECKSUM)
        self._is_whole = np.zeros(len(photos), np.bool_)
        # Pixels of damaged photos, decoded again.
        self._anew: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def read(self, number: int, start: int, size: int) -> UInt8[np.ndarray, " {size}"]:
        """Returns uint8 [size], the bytes of a photo from `start` on.

        Raises:
          UserError: the photo is damaged here, and so is its record.
        """
        if self._is_whole[number]:
            place = int(self._offset[number]) + start
            return np.frombuffer(open_files.read_at(self._descriptor, size, place), np.uint8)
        if (pixels := self._anew.get(number)) is None:
            photo = open_files.read_at(self._descriptor, int(self._size[number]), int(self._offset[number]))
            self._is_whole[number] = google_crc32c.value(photo) == self._checksum[number]
            pixels = np.frombuffer(photo, np.uint8) if self._is_whole[number] else self._decode(number)
        return pixels[start : start + size]

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _decode(self, number: int) -> np.ndarray:
        with self._lock:
            if not self._anew:
                say(f"data: {self._path} is damaged, at photo {number} first: decoding the damaged photos again")
            if number not in self._anew:
                with contextlib.closing(Reader(self._photos)) as reader:
                    pixels = decoded(reader.jpeg(number)).reshape(-1)
                self._anew[number] = pixels
                # Later runs find it mended; where the cache cannot be written, each run decodes it.
                with contextlib.suppress(OSError), self._path.open("r+b") as file:
                    _write_at(file.fileno(), pixels, int(self._offset[number]))
                    _write_at(file.fileno(), _checksum(pixels), self._photos.decoded_bytes + 4 * number)
            return self._anew[number]


class Pixels:
    """All photos of a split as uint8 RGB, in memory or in a file."""

    def __init__(self, photos: Photos, store: np.ndarray | CheckedFile) -> None:
        """Wraps photos and their store: uint8 [decoded_bytes], one photo after another, or a file."""
        self._offset, _ = _places(photos)
        self._height, self._width, self._store = photos.height, photos.width, store

    def rows(self, number: int, top: int, height: int) -> UInt8[np.ndarray, "{height} _ 3"]:
        """Returns uint8 [height, width, 3], full rows of a photo starting at `top`."""
        width = int(self._width[number])
        start, size = 3 * width * top, 3 * width * height
        if isinstance(self._store, CheckedFile):
            pixels = self._store.read(number, start, size)
        else:
            start += int(self._offset[number])
            pixels = self._store[start : start + size]
        return pixels.reshape(height, width, 3)

    def whole(self, number: int) -> UInt8[np.ndarray, "height width 3"]:
        """Returns a photo, uint8 [height, width, 3]."""
        return self.rows(number, 0, int(self._height[number]))

    def fill(
        self,
        canvas: UInt8[np.ndarray, "n side side 3"],
        numbers: Integer[np.ndarray, " n"],
        windows: Int32[np.ndarray, "n 4"],
    ) -> None:
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
        if isinstance(self._store, CheckedFile):
            self._store.close()
        self._store = np.empty(0, np.uint8)


def in_memory(photos: Photos, num_threads: int, name: str) -> Pixels:
    """Decodes all photos into memory.

    Raises:
      UserError: there is too little memory, or a record is damaged.
    """
    try:
        store = np.empty(photos.decoded_bytes, np.uint8)
    except MemoryError as error:
        raise UserError(
            f"no memory for {photos.decoded_bytes / 2**30:.1f} GiB of decoded photos: lower data.cache_gib"
        ) from error

    starts, _ = _places(photos)

    def write(number: int, pixels: np.ndarray) -> None:
        store[starts[number] : starts[number] + pixels.size] = pixels.reshape(-1)

    _decode_all(photos, num_threads, write, name)
    return Pixels(photos, store)


def on_disk(photos: Photos, num_threads: int, name: str, path: Path) -> Pixels:
    """Opens the file that holds all decoded photos; creates it the first time.

    Another process that wants the same file waits for the one that makes it.

    Raises:
      UserError: there is no space for it, or a record is damaged.
    """
    with locks.hold(f"{path}.lock", f"data: waiting for another process that writes {path}", wait=True):
        if not path.exists() or path.stat().st_size != file_bytes(photos):
            say(f"data: decoding {len(photos)} photos once to {path}, {photos.decoded_bytes / 2**30:.2f} GiB")
            _write_file(photos, num_threads, name, path)
    return Pixels(photos, CheckedFile(photos, path))


def file_bytes(photos: Photos) -> int:
    """Returns the size of the file that holds all decoded photos and their checksums."""
    return photos.decoded_bytes + 4 * len(photos)


def _write_file(photos: Photos, num_threads: int, name: str, path: Path) -> None:
    # Of a process that was killed.
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink()
    what = f"{photos.decoded_bytes / 2**30:.1f} GiB of decoded photos"
    advice = "make space, set BUTTERFLYER_CACHE to a folder on a larger disk, or set data.mode=jpeg"
    with files.whole_file(path, what, advice) as temporary:
        if shutil.disk_usage(path.parent).free < file_bytes(photos):
            # Reported before the work, not after it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with Path(temporary).open("wb") as file:
            starts, _ = _places(photos)
            checksums = np.empty(len(photos), _CHECKSUM)

            def write(number: int, pixels: np.ndarray) -> None:
                checksums[number] = _checksum(pixels)[0]
                _write_at(file.fileno(), pixels, int(starts[number]))

            _decode_all(photos, num_threads, write, name)
            _write_at(file.fileno(), checksums, photos.decoded_bytes)


def _places(photos: Photos) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the pixels of each photo begin, and their size, int64 [num_photos], bytes."""
    sizes = 3 * photos.height.astype(np.int64) * photos.width
    return np.cumsum(sizes) - sizes, sizes


def decoded(jpeg: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Returns the pixels of a JPEG, uint8 [height, width, 3], bit-identical to those that `tf_decode` yields."""
    return simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=False, fastupsample=False)


def _checksum(pixels: np.ndarray) -> np.ndarray:
    return np.array([google_crc32c.value(pixels.tobytes())], _CHECKSUM)


def _write_at(descriptor: int, pixels: np.ndarray, start: int) -> None:
    view = pixels.reshape(-1).view(np.uint8).data
    while view:
        written = os.pwrite(descriptor, view, start)
        view, start = view[written:], start + written


def _decode_all(photos: Photos, num_threads: int, write: Callable[[int, np.ndarray], None], name: str) -> None:
    """Decodes all photos and calls `write` with the number and the pixels of each, from many threads."""

    def decode(numbers: range, jpegs: Sequence[bytes]) -> None:
        for number, jpeg in zip(numbers, jpegs, strict=True):
            write(number, decoded(jpeg))

    chunks = [range(start, min(start + _CHUNK, len(photos))) for start in range(0, len(photos), _CHUNK)]
    with ThreadPoolExecutor(num_threads) as pool, contextlib.closing(Reader(photos)) as reader:
        under_way: collections.deque[Future[None]] = collections.deque()
        shown = progress(chunks, len(chunks), f"decoding {name} photos, parts") if len(chunks) > _SHOWN else chunks
        for chunk in shown:
            reader.want(range(photos.shard[chunk.start], photos.num_shards))
            under_way.append(pool.submit(decode, chunk, [reader.jpeg(number) for number in chunk]))
            # Only a few chunks of encoded photos are in memory.
            if len(under_way) > 2 * num_threads:
                under_way.popleft().result()
        for future in under_way:
            future.result()
