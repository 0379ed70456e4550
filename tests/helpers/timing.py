"""Bounds of seconds that hold on a busy machine too."""

from __future__ import annotations

from collections.abc import Callable

# Other processes make what is measured longer, and never shorter.
TRIES = 5


def shortest(measure: Callable[[], float], bound: float) -> float:
    """Returns the shortest of a few measurements, seconds; the first that is within the bound ends them."""
    seconds = measure()
    for _ in range(TRIES - 1):
        if seconds < bound:
            break
        seconds = min(seconds, measure())
    return seconds
