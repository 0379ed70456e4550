"""The loader: reads, decodes and, on the host if configured, crops the batches that the sampler requests."""

from __future__ import annotations

import collections
import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import TypeVar

import numpy as np
from PIL import Image

from butterflyer_jax.data import photo
from butterflyer_jax.data.input import pixel_cache
from butterflyer_jax.data.input.pixel_cache import Pixels
from butterflyer_jax.data.input.position import Batch
from butterflyer_jax.data.input.sampler import Negative, Request
from butterflyer_jax.data.input.shard_reader import Photos, Reader
from butterflyer_jax.data.negatives import draw_negative, draw_part

T = TypeVar("T")
# Time that the thread of `in_background` gets to finish its batch.
JOIN_SECONDS = 5.0


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
      UserError: a record is damaged or cannot be read.
    """
    reader.want(request.shards)
    return [reader.jpeg(number) for number in request.photos]


def from_jpegs(
    photos: Photos,
    requests: Iterator[Request],
    side: int,
    threads: Threads,
    stages: Stages,
    of_user: Photos | None,
) -> Iterator[Batch]:
    """Yields batches of canvases, uint8 [n, side, side, 3] and window int32 [n, 4], decoded by tf.data.

    Args:
      photos: photos of the split.
      requests: photos and crop windows of each batch.
      side: side of the canvases, pixels.
      threads: as many threads of tf.data decode.
      stages: takes the time of each stage.
      of_user: the user's negatives.
    """
    # Imported here: TensorFlow takes seconds, and only JPEGs that are decoded each epoch need it. Not in the generator,
    # as another thread may run it.
    from butterflyer_jax.data.input import tf_decode

    return _decoded(tf_decode, photos, requests, side, threads, stages, of_user)


def _decoded(
    decoder: ModuleType,
    photos: Photos,
    requests: Iterator[Request],
    side: int,
    threads: Threads,
    stages: Stages,
    of_user: Photos | None,
) -> Iterator[Batch]:
    first = next(requests)
    under_way: collections.deque[tuple[Batch, Mapping[int, Negative], dict[int, bytes]]] = collections.deque()

    def feed() -> Iterator[tuple[list[bytes], np.ndarray]]:
        with contextlib.closing(Reader(photos)) as reader:
            for request in itertools.chain([first], requests):
                with stages.time("reading"):
                    encoded = read_jpegs(reader, request)
                to_decode, within = decoder.with_margin(request.windows, photos.width[request.photos])
                replaced = {row: encoded[row] for row in request.negatives}
                under_way.append(({"window": within, **request.rest}, request.negatives, replaced))
                yield encoded, to_decode

    canvases = decoder.decode(feed(), len(first.photos), side, threads.number)
    while True:
        with stages.time("decoding"):
            image = next(canvases, None)
        if image is None:
            return
        rest, negatives, jpegs = under_way.popleft()
        batch = {"image": image, **rest}
        if negatives:
            with stages.time("drawing"):
                put_negatives(batch, negatives, jpegs, pixel_cache.decoded, of_user, threads)
        yield batch


def from_pixels(
    pixels: Pixels,
    requests: Iterator[Request],
    side: int,
    threads: Threads,
    stages: Stages,
    of_user: Photos | None,
) -> Iterator[Batch]:
    """Yields batches of canvases, uint8 [n, side, side, 3] and window int32 [n, 4], copied from decoded photos.

    Args:
      pixels: decoded photos of the split.
      requests, side, stages, of_user: the same as in `from_jpegs`.
      threads: threads that copy.
    """
    for request in requests:
        canvas = np.zeros((len(request.photos), side, side, 3), np.uint8)
        with stages.time("copying"):
            threads.run(pixels.fill, canvas, request.photos, request.windows)
        window = request.windows * np.array([0, 0, 1, 1], np.int32)
        batch = {"image": canvas, "window": window, **request.rest}
        if request.negatives:
            with stages.time("drawing"):
                numbers = {row: int(request.photos[row]) for row in request.negatives}
                put_negatives(batch, request.negatives, numbers, pixels.whole, of_user, threads)
        yield batch


def put_negatives(
    batch: Batch,
    negatives: Mapping[int, Negative],
    photos: Mapping[int, T],
    read: Callable[[T], np.ndarray],
    of_user: Photos | None,
    threads: Threads,
) -> None:
    """Puts negatives into rows of a batch of canvases.

    Args:
      batch: batch to change; its image and window are replaced by new arrays.
      negatives: negatives by row.
      photos: photos that they replace, by row, as `read` takes them.
      read: returns a whole photo, uint8 [height, width, 3].
      of_user: the user's negatives.
      threads: threads that read and draw.
    """
    canvas, window = np.array(batch["image"]), np.array(batch["window"])
    numbers = {row: negative.number for row, negative in negatives.items() if negative.number is not None}
    jpegs: dict[int, bytes] = {}
    if of_user is not None and numbers:
        with contextlib.closing(Reader(of_user)) as reader:
            reader.want(range(of_user.num_shards))
            jpegs = {row: reader.jpeg(number) for row, number in numbers.items()}

    def draw(rows: np.ndarray) -> None:
        for row in rows.tolist():
            rng = np.random.default_rng(negatives[row].seed)
            if row in jpegs:
                drawn = draw_part(Image.fromarray(pixel_cache.decoded(jpegs[row])), rng)
            else:
                drawn = draw_negative(Image.fromarray(read(photos[row])), rng)
            side = min(drawn.width, canvas.shape[1])
            canvas[row] = 0
            canvas[row, :side, :side] = photo.scale_part(np.asarray(drawn), side)
            window[row] = 0, 0, side, side

    threads.run(draw, np.array(list(negatives)))
    batch |= {"image": canvas, "window": window}


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


def in_background(items: Iterator[T], size: int) -> Generator[T, None, None]:
    """Yields items that a thread produces ahead, at most `size` of them waiting; the thread ends with the generator.

    Raises:
      Exception: producing an item failed; raised in its place.
    """
    ready: queue.SimpleQueue[Future[T] | None] = queue.SimpleQueue()
    free, stopped = threading.Semaphore(size), threading.Event()

    def work() -> None:
        try:
            for item in items:
                free.acquire()
                if stopped.is_set():
                    break
                result: Future[T] = Future()
                result.set_result(item)
                ready.put(result)
        except BaseException as error:
            failure: Future[T] = Future()
            failure.set_exception(error)
            ready.put(failure)
        ready.put(None)

    thread = threading.Thread(target=work, name="butterflyer-input", daemon=True)
    thread.start()
    try:
        while (future := ready.get()) is not None:
            free.release()
            yield future.result()
    finally:
        stopped.set()
        free.release()
        # The thread may wait for a bucket: then it ends when the bucket is closed.
        thread.join(JOIN_SECONDS)


class Stages:
    """Seconds that each stage of the input took; each stage is recorded by one thread only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._reported: dict[str, float] = {}

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Adds the duration of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Adds seconds to a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def since_last(self) -> dict[str, float]:
        """Returns the seconds of each stage since the last call."""
        now = dict(self.seconds)
        spent = {stage: seconds - self._reported.get(stage, 0.0) for stage, seconds in now.items()}
        self._reported = now
        return spent
