"""Finds the species that a text names, in the plural and misspelt by a letter too."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from butterflyer_jax.app.chat import languages
from butterflyer_jax.app.chat.languages import words_of
from butterflyer_jax.app.knowledge.base import Knowledge

# Shorter words are too easily another word misspelt.
MIN_MISSPELT = 5
MIN_EPITHET = 6


@dataclass(frozen=True)
class Mention:
    """A species that is named in a text, and which of its words name it."""

    species: str
    start: int
    length: int


def stemmer() -> Callable[[Sequence[str]], list[str]]:
    """Returns the function that makes stems of English words; threads may share it."""
    stem_words = languages.load("Stemmer").Stemmer("english").stemWords
    # PyStemmer's are one thread's at a time.
    lock = threading.Lock()

    def stems(words: Sequence[str]) -> list[str]:
        with lock:
            result: list[str] = stem_words(list(words))
            return result

    return stems


class SpeciesNames:
    """The names of the species of a knowledge base."""

    def __init__(self, knowledge: Knowledge, others: Mapping[str, Sequence[str]], vocabulary: frozenset[str]) -> None:
        """Takes the base, names in other languages by scientific name, and the stems that are words of their own."""
        self._stem = stemmer()
        self._vocabulary = vocabulary
        self._names: dict[tuple[str, ...], str] = {}
        self._spelt: dict[tuple[str, ...], str] = {}
        self._words: set[str] = set()
        epithets: dict[str, set[str]] = {}
        for species in knowledge.species:
            binomials = {species.scientific_name, *(n for n in species.synonyms if " " in n)}
            for binomial in binomials:
                genus, *rest = binomial.split()
                self._add(f"{genus[0]} {' '.join(rest)}", species.scientific_name)
                epithets.setdefault(rest[-1].casefold(), set()).add(species.scientific_name)
            for name in (
                *binomials,
                *species.synonyms,
                *species.common_names,
                *others.get(species.scientific_name, ()),
            ):
                self._add(name, species.scientific_name)
        for epithet, owners in epithets.items():
            if len(epithet) >= MIN_EPITHET and len(owners) == 1:
                self._add(epithet, *owners)
        self._longest = max(map(len, self._names), default=0)

    def find(self, words: Sequence[str]) -> list[Mention]:
        """Returns the mentions in folded words, in their order; of names that overlap the longest counts."""
        stems = self._stem(words)
        meant = {word: self._meant_by(word, stem) for word, stem in dict(zip(words, stems, strict=True)).items()}
        mentions, start = [], 0
        while start < len(words):
            mention = self._at([meant[word] for word in words[start : start + self._longest]], stems[start:], start)
            if mention:
                mentions.append(mention)
            start += mention.length if mention else 1
        return mentions

    def _add(self, name: str, species: str) -> None:
        words = words_of(name)
        self._names.setdefault(tuple(self._stem(words)), species)
        self._spelt.setdefault(tuple(words), species)
        self._words.update(words)

    def _at(self, meant: Sequence[Sequence[str]], stems: Sequence[str], start: int) -> Mention | None:
        for length in range(len(meant), 0, -1):
            spellings = itertools.product(*meant[:length])
            misspelt = (self._spelt[spelling] for spelling in spellings if spelling in self._spelt)
            if found := self._names.get(tuple(stems[:length])) or next(misspelt, None):
                return Mention(found, start, length)
        return None

    def _meant_by(self, word: str, stem: str) -> list[str]:
        """Returns the words of names that a word is, or is misspelt for."""
        if word in self._words:
            return [word]
        if len(word) < MIN_MISSPELT or stem in self._vocabulary:
            return []
        return [name for name in sorted(self._words) if len(name) >= MIN_MISSPELT and one_letter_off(word, name)]


def one_letter_off(one: str, other: str) -> bool:
    """Returns whether a letter more, less, changed, or swapped with its neighbour makes one word of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, of_other = one[same:], other[same:]
    swapped = rest[:2] == of_other[:2][::-1] and rest[2:] == of_other[2:]
    return rest[1:] == of_other[1:] or rest[1:] == of_other or rest == of_other[1:] or (len(rest) > 1 and swapped)
