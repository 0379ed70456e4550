"""Requests that come at the same time are answered in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Full(Exception):
    """More is waiting than is taken."""


class Batcher(Generic[Item, Answer]):
    """Collects what is asked while a batch is computed, and computes that next.

    Nothing waits for company: an item that comes alone goes alone, and under load batches grow by themselves.

    Attributes:
      waiting: items that wait for their batch.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Item]], Sequence[Answer]],
        max_batch: int,
        max_waiting: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Takes what answers a batch, in a thread of its own.

        Args:
          answer: gives one answer an item, in order.
          max_batch: items of a batch.
          max_waiting: items that may wait.
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
        """Returns how many items wait."""
        return len(self._queue)

    async def __call__(self, item: Item) -> Answer:
        """Returns the answer to one item.

        Raises:
          Full: too many wait already.
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
            # Who has gone meanwhile, by a time-out or a closed browser, costs nothing more.
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
        """Ends the thread; call it when nothing is asked any more."""
        self._thread.shutdown(cancel_futures=True)
