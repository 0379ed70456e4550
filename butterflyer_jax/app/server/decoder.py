"""Decoder of uploads in worker processes, so that no file can block or crash the service."""

from __future__ import annotations

import asyncio
import math
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, UInt8

from butterflyer_jax.app.server.batching import Full
from butterflyer_jax.app.server.decode_worker import ERROR, LARGE, REQUEST, RESPONSE, Work
from butterflyer_jax.data.photo import PhotoError

# A photo that takes longer, in seconds, is decoded again among the large ones.
BRIEF_SECONDS = 1.0
# Exit code of a process that was ended by its own timer.
TOO_SLOW = -getattr(signal, "SIGALRM", 0)


class _Large(Exception):
    """The photo has many pixels or takes long."""


class _Worker:
    """A worker process, used by one thread; any thread may end it."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Returns the process, a new one if the previous one has ended."""
        if self._process is None or self._process.poll() is not None:
            line = [sys.executable, "-m", "butterflyer_jax.app.server.decode_worker", self._work.dumps()]
            self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1)
        return self._process

    def decode(self, data: bytes, large: bool, search: bool) -> bytes:
        """Returns the bytes that `decode_worker.decode` makes of a photo.

        Raises:
          PhotoError: the picture cannot be read, or not within the limits.
          _Large: it is a large one, and `large` is not set.
        """
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(REQUEST.pack(large, search, len(data)) + data)
            process.stdin.flush()
            kind, size = RESPONSE.unpack(process.stdout.read(RESPONSE.size))
            body = process.stdout.read(size)
        except Exception as error:
            # The process has ended; an incomplete response is discarded.
            process.kill()
            code = process.wait()
            if code == TOO_SLOW and not large:
                raise _Large from error
            raise PhotoError(self._reason(code)) from error
        if kind == LARGE:
            raise _Large
        if kind == ERROR:
            raise PhotoError(body.decode())
        return body

    def _reason(self, code: int) -> str:
        if code == TOO_SLOW:
            return f"decoding it takes longer than {self._work.seconds:g} s"
        # Some decoders abort when out of memory.
        return f"decoding it fails, or takes more than {self._work.memory_bytes >> 20} MiB of memory"

    def kill(self) -> None:
        """Kills the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class _Lane:
    """A queue of photos with its threads, each with its own worker process."""

    def __init__(self, name: str, num_workers: int, max_waiting: int, work: Work) -> None:
        self._work, self._max_waiting = work, max_waiting
        self._threads = ThreadPoolExecutor(num_workers, name)
        self._of_thread = threading.local()
        self._workers: list[_Worker] = []
        self._num_workers = num_workers
        self.under_way = 0

    async def decode(self, data: bytes, large: bool, search: bool = False) -> bytes:
        if self.under_way >= self._max_waiting:
            raise Full
        self.under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._decode, data, large, search)
        finally:
            self.under_way -= 1

    def start(self) -> None:
        barrier = threading.Barrier(self._num_workers)

        def start() -> None:
            self._worker().start()
            barrier.wait()

        for started in [self._threads.submit(start) for _ in range(self._num_workers)]:
            started.result()

    def kill(self) -> None:
        for worker in self._workers:
            worker.kill()

    def _decode(self, data: bytes, large: bool, search: bool) -> bytes:
        return self._worker().decode(data, large, search)

    def _worker(self) -> _Worker:
        if not hasattr(self._of_thread, "worker"):
            self._of_thread.worker = _Worker(self._work)
            self._workers.append(self._of_thread.worker)
        return self._of_thread.worker


class Decoder:
    """Decoder of uploads, with a separate lane for slow photos, so that no others wait for them."""

    def __init__(self, work: Work, num_workers: int, max_waiting: int, max_large: int) -> None:
        """Starts no process yet.

        Args:
          work: preprocessing and limits.
          num_workers: number of processes for small photos; one more decodes the large ones.
          max_waiting: largest number of photos that wait or are being decoded.
          max_large: the same for large photos.
        """
        brief = replace(work, seconds=min(work.seconds, BRIEF_SECONDS))
        self._lane = _Lane("decode", num_workers, max_waiting, brief)
        self._large = _Lane("decode large", 1, max_large, work)
        self._shape = (work.image_size, work.image_size, 3)

    async def __call__(self, data: bytes) -> UInt8[np.ndarray, "side side 3"]:
        """Returns the network's input, uint8 [image_size, image_size, 3].

        Raises:
          PhotoError: the picture cannot be read, or not within the limits.
          Full: too many photos are waiting.
        """
        try:
            body = await self._lane.decode(data, large=False)
        except _Large:
            body = await self._large.decode(data, large=True)
        return np.frombuffer(body, np.uint8).reshape(self._shape)

    async def cut(self, data: bytes) -> tuple[UInt8[np.ndarray, "count side side 3"], Float32[np.ndarray, "count 4"]]:
        """Returns the parts of a photo that a search looks at, among the large photos: it takes as long as these.

        Returns:
          uint8 [count, image_size, image_size, 3], the first the central square; and float32 [count, 4], left, top,
          right and bottom of each as shares of width and height.

        Raises:
          PhotoError, Full: the same as for a photo that is not searched.
        """
        body = await self._large.decode(data, large=True, search=True)
        # Four float32 for each part.
        count = len(body) // (math.prod(self._shape) + 16)
        pixels = np.frombuffer(body, np.uint8, count * math.prod(self._shape)).reshape(count, *self._shape)
        return pixels, np.frombuffer(body, np.float32, offset=pixels.nbytes).reshape(count, 4)

    def start(self) -> None:
        """Starts the processes in advance, so that no visitor waits for them."""
        self._lane.start()
        self._large.start()

    def close(self) -> None:
        """Kills the processes; another call starts them again."""
        self._lane.kill()
        self._large.kill()
