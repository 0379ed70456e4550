"""Numbers for the sources of an answer: [1], [2] …, in the order in which they are first cited."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from butterflyer_jax.app.knowledge.base import Passage, Source

_THOUGHT = re.compile(r"</?(?:think|thinking|reasoning)>\s*", re.IGNORECASE)
_THOUGHT_BEGUN = re.compile(r"<[/a-zA-Z]{0,10}$")
REDACTED = "(redacted)"
_CITED = re.compile(r" ?\[\s*(\d{1,9}(?:\s*[,;]\s*\d{1,9})*)\s*\]")
# What may be the beginning of a citation is held back.
_BEGUN = re.compile(r" ?(\[[\d\s,;]{0,40})?$")
_NO_CITATION = str.maketrans("[]", "()")


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


class CitationFilter:
    """Turns the numbers of passages into those of their sources, and takes out numbers that no passage has.

    Square brackets are then those of citations only; others become round.
    """

    def __init__(self, passages: Sequence[Passage], citations: Citations) -> None:
        """Takes the passages, the first of which is [1] to the model, and what numbers their sources."""
        self._passages, self._citations, self._held = passages, citations, ""

    def feed(self, text: str) -> str:
        """Returns what can be shown after this chunk."""
        text = self._held + text
        begun = _BEGUN.search(text)
        end = begun.start() if begun else len(text)
        self._held = text[end:]
        return self._checked(text[:end])

    def finish(self) -> str:
        """Returns what was held back."""
        held, self._held = self._held, ""
        return self._checked(held)

    def _checked(self, text: str) -> str:
        parts, end = [], 0
        for cited in _CITED.finditer(text):
            numbers = (int(number) - 1 for number in re.split(r"[\s,;]+", cited[1]))
            passages = [self._passages[n] for n in numbers if 0 <= n < len(self._passages)]
            sources = dict.fromkeys(source for passage in passages for source in passage.sources)
            space = " " if sources and cited[0].startswith(" ") else ""
            parts += [text[end : cited.start()].translate(_NO_CITATION), space, self._citations.cite(sources)]
            end = cited.end()
        return "".join((*parts, text[end:].translate(_NO_CITATION)))


class ThoughtFilter:
    """Takes out what a reasoning model writes between <think> and </think> (also <thinking>, <reasoning>)."""

    def __init__(self) -> None:
        self._held, self._thinks, self._begun = "", False, False

    def feed(self, text: str) -> str:
        """Returns what can be shown after this chunk."""
        self._held += text
        shown = ""
        while tag := _THOUGHT.search(self._held):
            if not self._thinks:
                shown += self._held[: tag.start()]
            self._held, self._thinks = self._held[tag.end() :], not tag[0].startswith("</")
        begun = _THOUGHT_BEGUN.search(self._held)
        end = begun.start() if begun else len(self._held)
        if not self._thinks:
            shown += self._held[:end]
        self._held = self._held[end:]
        # Blank lines behind the thoughts.
        shown = shown if self._begun else shown.lstrip()
        self._begun = self._begun or bool(shown)
        return shown

    def finish(self) -> str:
        """Returns what was held back; thoughts without an end are none of it."""
        held, self._held = self._held, ""
        return "" if self._thinks else held


class Redactor:
    """Takes a secret out of a text, across the borders of chunks too."""

    def __init__(self, secret: str) -> None:
        """Takes the secret; with an empty one every text passes."""
        self._secret, self._held = secret, ""

    def feed(self, text: str) -> str:
        """Returns what can be shown after this chunk."""
        if not self._secret:
            return text
        text = (self._held + text).replace(self._secret, REDACTED)
        begun = range(min(len(self._secret) - 1, len(text)), 0, -1)
        held = next((count for count in begun if self._secret.startswith(text[-count:])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """Returns what was held back: no whole secret."""
        held, self._held = self._held, ""
        return held
