from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from butterflyer_jax.app.server.batching import Batcher, Full


class Doubling:
    """Doubles numbers, as soon as it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        assert self.go.wait(30)
        if -1 in items:
            raise ValueError("a bad batch")
        return [2 * item for item in items]


async def begun(doubling: Doubling, count: int) -> None:
    while len(doubling.batches) < count:
        await asyncio.sleep(0)


def test_what_comes_during_a_batch_is_the_next_one() -> None:
    doubling, sizes = Doubling(), []

    async def ask() -> list[int]:
        batcher = Batcher(doubling, 3, 100, sizes.append)
        first = asyncio.create_task(batcher(0))
        await begun(doubling, 1)
        others = [asyncio.create_task(batcher(number)) for number in range(1, 6)]
        await asyncio.sleep(0)
        assert batcher.waiting == 5
        doubling.go.set()
        answers = await asyncio.gather(first, *others)
        batcher.close()
        return answers

    assert asyncio.run(ask()) == [0, 2, 4, 6, 8, 10]
    assert doubling.batches == [[0], [1, 2, 3], [4, 5]]
    assert sizes == [1, 3, 2]


def test_too_many_are_turned_away_and_who_has_gone_is_not_answered() -> None:
    doubling = Doubling()

    async def ask() -> None:
        batcher = Batcher(doubling, 8, 2)
        first = asyncio.create_task(batcher(0))
        await begun(doubling, 1)
        gone, stays = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await batcher(3)
        gone.cancel()
        doubling.go.set()
        assert await first == 0
        assert await stays == 4
        batcher.close()

    asyncio.run(ask())
    assert doubling.batches == [[0], [2]]


def test_an_error_is_that_of_its_batch_alone() -> None:
    doubling = Doubling()
    doubling.go.set()

    async def ask() -> None:
        batcher = Batcher(doubling, 8, 8)
        with pytest.raises(ValueError, match="a bad batch"):
            await batcher(-1)
        assert await batcher(4) == 8
        batcher.close()

    asyncio.run(ask())
