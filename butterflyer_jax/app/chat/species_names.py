"""Search for species names in a text, including plurals and misspellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from butterflyer_jax.app.chat.english import Stemmer, words_of
from butterflyer_jax.app.knowledge.base import Knowledge

MIN_EPITHET = 6


@dataclass(frozen=True)
class Mention:
    """A species named in a text, and the range of words that name it."""

    species: str
    start: int
    length: int


class SpeciesNames:
    """Index of the species names of a knowledge base."""

    def __init__(self, knowledge: Knowledge, stemmer: Stemmer) -> None:
        self._stem = stemmer
        self._names: dict[tuple[str, ...], str] = {}
        self.words: set[str] = set()
        epithets: dict[str, set[str]] = {}
        for species in knowledge.species:
            binomials = {species.scientific_name, *(name for name in species.synonyms if " " in name)}
            for binomial in binomials:
                genus, *rest = binomial.split()
                self._add(f"{genus[0]} {' '.join(rest)}", species.scientific_name)
                epithets.setdefault(rest[-1].casefold(), set()).add(species.scientific_name)
            for name in (*binomials, *species.synonyms, *species.common_names):
                self._add(name, species.scientific_name)
        for epithet, owners in epithets.items():
            if len(epithet) >= MIN_EPITHET and len(owners) == 1:
                self._add(epithet, *owners)
        self._longest = max(map(len, self._names), default=0)

    def find(self, words: Sequence[str]) -> list[Mention]:
        """Returns the mentions in folded words, in order; of overlapping names the longest counts."""
        stems = self._stem(words)
        mentions, start = [], 0
        while start < len(words):
            mention = self._at(stems, start)
            if mention:
                mentions.append(mention)
            start += mention.length if mention else 1
        return mentions

    def _add(self, name: str, species: str) -> None:
        words = words_of(name)
        self._names.setdefault(tuple(self._stem(words)), species)
        self.words.update(words)

    def _at(self, stems: Sequence[str], start: int) -> Mention | None:
        for length in range(min(self._longest, len(stems) - start), 0, -1):
            if found := self._names.get(tuple(stems[start : start + length])):
                return Mention(found, start, length)
        return None
