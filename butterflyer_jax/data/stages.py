"""Where the time of the input goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Stages:
    """Seconds that each stage of the input took; a stage is told of by one thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._told: dict[str, float] = {}

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Adds the seconds of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Adds seconds to a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def since_last(self) -> dict[str, float]:
        """Returns the seconds of each stage since this was last asked."""
        now = dict(self.seconds)
        spent = {stage: seconds - self._told.get(stage, 0.0) for stage, seconds in now.items()}
        self._told = now
        return spent
