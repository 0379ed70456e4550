"""From requests to batches of pixels: read, decode, and where the host does it, crop."""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np

from butterflyer_jax.data import photo
from butterflyer_jax.data.decoded import Pixels
from butterflyer_jax.data.iterator import Batch
from butterflyer_jax.data.requests import Request
from butterflyer_jax.data.shards import Photographs, Reader
from butterflyer_jax.data.stages import Stages


class Threads:
    """Threads that share the work of a batch."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._pool = ThreadPoolExecutor(number, "butterflyer-pixels")

    def run(self, work: Callable[..., None], *arrays: np.ndarray) -> None:
        """Calls `work` in each thread with a part of each array, cut along the first axis; waits for all."""
        bounds = [len(arrays[0]) * part // self.number for part in range(self.number + 1)]
        parts = [[array[start:end] for array in arrays] for start, end in itertools.pairwise(bounds)]
        for done in [self._pool.submit(work, *part) for part in parts]:
            done.result()

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()


def read_jpegs(reader: Reader, request: Request) -> list[bytes]:
    """Returns the JPEGs of a batch.

    Raises:
      UserError: a record is damaged, or cannot be read.
    """
    reader.want(request.shards)
    return [reader.jpeg(number) for number in request.photos]


def from_jpegs(
    photos: Photographs, requests: Iterator[Request], side: int, num_threads: int, stages: Stages
) -> Iterator[Batch]:
    """Yields batches of canvases, uint8 [n, side, side, 3] and window int32 [n, 4], decoded by tf.data."""
    # Imported here: TensorFlow takes seconds, and only JPEGs that are decoded each epoch need it. Not in the generator,
    # which another thread may run.
    from butterflyer_jax.data import jpegs

    return _decoded(jpegs, photos, requests, side, num_threads, stages)


def _decoded(
    jpegs: ModuleType, photos: Photographs, requests: Iterator[Request], side: int, num_threads: int, stages: Stages
) -> Iterator[Batch]:
    first = next(requests)
    under_way: collections.deque[Batch] = collections.deque()

    def feed() -> Iterator[tuple[list[bytes], np.ndarray]]:
        with contextlib.closing(Reader(photos)) as reader:
            for request in itertools.chain([first], requests):
                with stages.time("reading"):
                    encoded = read_jpegs(reader, request)
                to_decode, within = jpegs.with_margin(request.windows, photos.width[request.photos])
                under_way.append({"window": within, **request.rest})
                yield encoded, to_decode

    canvases = jpegs.decode(feed(), len(first.photos), side, num_threads)
    while True:
        with stages.time("decoding"):
            image = next(canvases, None)
        if image is None:
            return
        yield {"image": image, **under_way.popleft()}


def from_pixels(
    pixels: Pixels, requests: Iterator[Request], side: int, threads: Threads, stages: Stages
) -> Iterator[Batch]:
    """Yields batches of canvases, uint8 [n, side, side, 3] and window int32 [n, 4], copied from decoded photographs."""
    for request in requests:
        canvas = np.zeros((len(request.photos), side, side, 3), np.uint8)
        with stages.time("copying"):
            threads.run(pixels.fill, canvas, request.photos, request.windows)
        window = request.windows * np.array([0, 0, 1, 1], np.int32)
        yield {"image": canvas, "window": window, **request.rest}


def crop_on_host(batches: Iterator[Batch], image_size: int, threads: Threads, stages: Stages) -> Iterator[Batch]:
    """Yields batches whose images are the windows of canvases, scaled: uint8 [n, image_size, image_size, 3]."""
    for batch in batches:
        canvas, window = batch.pop("image"), batch.pop("window")
        image = np.empty((len(canvas), image_size, image_size, 3), np.uint8)
        with stages.time("cropping"):
            threads.run(_scale, canvas, window, image)
        yield {"image": image, **batch}


def _scale(canvases: np.ndarray, windows: np.ndarray, images: np.ndarray) -> None:
    for number, (top, left, height, width) in enumerate(windows.tolist()):
        part = canvases[number, top : top + height, left : left + width]
        images[number] = photo.scale_part(part, images.shape[1])
