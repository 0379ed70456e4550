"""Batching of concurrent requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Full(Exception):
    """The queue is full."""


class Batcher(Generic[Item, Answer]):
    """Collects the requests that arrive while a batch is computed, as the next batch.

    There is no delay to fill a batch: a single item is computed alone, and batches grow under load.

    Attributes:
      waiting: number of items in the queue.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Item]], Sequence[Answer]],
        max_batch: int,
        max_waiting: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Starts the thread that computes batches.

        Args:
          answer: function that returns one answer per item, in order.
          max_batch: largest number of items per batch.
          max_waiting: largest number of items in the queue.
          on_batch: called with the size of each batch.
        """
        self._answer = answer
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._queue: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._thread = ThreadPoolExecutor(1, "batch")
        self._worker: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Returns the number of items in the queue."""
        return len(self._queue)

    async def __call__(self, item: Item) -> Answer:
        """Returns the answer to one item.

        Raises:
          Full: the queue is full.
        """
        if len(self._queue) >= self._max_waiting:
            raise Full
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            # Requests cancelled by a timeout or a closed browser are skipped.
            self._queue = [entry for entry in self._queue if not entry[1].done()]
            batch, self._queue = self._queue[: self._max_batch], self._queue[self._max_batch :]
            if not batch:
                return
            self._on_batch(len(batch))
            try:
                answers = await loop.run_in_executor(self._thread, self._answer, [item for item, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def close(self) -> None:
        """Ends the thread; to be called after the last request."""
        self._thread.shutdown(cancel_futures=True)
