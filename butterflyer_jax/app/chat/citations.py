"""Numbers for the sources of an answer: [1], [2] …, in the order in which they are first cited."""

from __future__ import annotations

from collections.abc import Iterable

from butterflyer_jax.app.knowledge import Source


class Citations:
    """The sources of one answer.

    Attributes:
      sources: those cited so far; the first is [1].
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def cite(self, sources: Iterable[Source]) -> str:
        """Returns what stands in the text for these sources, such as [1][3]."""
        numbers = []
        for source in sources:
            if source not in self.sources:
                self.sources.append(source)
            numbers.append(self.sources.index(source) + 1)
        return "".join(f"[{number}]" for number in numbers)
