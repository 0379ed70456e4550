"""Citation numbers of an answer's sources: [1], [2] …, in the order of first use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from butterflyer_jax.app.knowledge.base import Passage, Source

_THOUGHT = re.compile(r"</?(?:think|thinking|reasoning)>\s*", re.IGNORECASE)
_THOUGHT_BEGUN = re.compile(r"<[/a-zA-Z]{0,10}$")
REDACTED = "(redacted)"
_CITED = re.compile(r" ?\[\s*(\d{1,9}(?:\s*[,;]\s*\d{1,9})*)\s*\]")
# A possible start of a citation, held back until it is complete.
_BEGUN = re.compile(r" ?(\[[\d\s,;]{0,40})?$")
_NO_CITATION = str.maketrans("[]", "()")


class Citations:
    """The sources of one answer.

    Attributes:
      sources: sources cited so far; the first is [1].
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def cite(self, sources: Iterable[Source]) -> str:
        """Returns the citation of these sources in the text, such as [1][3]."""
        numbers = []
        for source in sources:
            if source not in self.sources:
                self.sources.append(source)
            numbers.append(self.sources.index(source) + 1)
        return "".join(f"[{number}]" for number in numbers)


class CitationFilter:
    """Replaces passage numbers by source numbers, and removes numbers without a passage.

    Square brackets then mark citations only; others become round.
    """

    def __init__(self, passages: Sequence[Passage], citations: Citations) -> None:
        """Takes the passages, of which the first is [1] for the model, and the numbering of their sources."""
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
    """Removes a reasoning model's text between <think> and </think> (also <thinking>, <reasoning>)."""

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
        # Blank lines after the thoughts.
        shown = shown if self._begun else shown.lstrip()
        self._begun = self._begun or bool(shown)
        return shown

    def finish(self) -> str:
        """Returns the text that was held back, without unfinished thoughts."""
        held, self._held = self._held, ""
        return "" if self._thinks else held


class Redactor:
    """Removes a secret from a streamed text, also across chunks."""

    def __init__(self, secret: str) -> None:
        """Takes the secret; an empty one leaves every text unchanged."""
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
        """Returns the text that was held back, which does not contain the whole secret."""
        held, self._held = self._held, ""
        return held
