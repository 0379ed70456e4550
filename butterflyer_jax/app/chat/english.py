"""English for the chat: synonyms, stop words, phrases and spelling of questions, and the chat's own sentences.

The words and sentences are in `english.yaml`.
"""

from __future__ import annotations

import functools
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("english.yaml")
# Shortest word that is corrected (shorter ones resemble too many others), and shortest one in which two letters may be
# wrong.
MIN_MISSPELT = 5
MIN_CHANGED = 7
LONG_WORD = 9

_WORD = re.compile(r"[^\W_]+")
Phrase = tuple[str, ...]


def fold(text: str) -> str:
    """Returns the text in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def words_of(text: str) -> list[str]:
    """Returns the folded words of a text: runs of letters and digits."""
    return _WORD.findall(fold(text))


class Phrases:
    """Index of phrases with meanings, looked up in the words of a text.

    The longest phrase at a word counts; a last word ending in * matches all words with this prefix.
    """

    def __init__(self, meanings: Mapping[str, Sequence[str]]) -> None:
        """Takes the phrases of each meaning."""
        self._whole: dict[Phrase, list[str]] = {}
        self._prefixes: dict[Phrase, list[str]] = {}
        for meaning, phrases in meanings.items():
            for phrase in phrases:
                table = self._prefixes if phrase.endswith("*") else self._whole
                table.setdefault(tuple(words_of(phrase)), []).append(meaning)
        self._longest = max(map(len, (*self._whole, *self._prefixes)), default=0)

    def at(self, words: Sequence[str], start: int) -> tuple[int, list[str]]:
        """Returns the number of words of the longest phrase at `start`, and its meanings; (0, []) for none."""
        for length in range(min(self._longest, len(words) - start), 0, -1):
            phrase = tuple(words[start : start + length])
            if found := self._whole.get(phrase, []) + self._begun(phrase):
                return length, found
        return 0, []

    def all(self, words: Sequence[str]) -> Iterator[tuple[int, int, list[str]]]:
        """Yields start, length and meanings of the non-overlapping phrases of a text."""
        start = 0
        while start < len(words):
            length, meanings = self.at(words, start)
            if length:
                yield start, length, meanings
            start += length or 1

    def words(self) -> set[str]:
        """Returns the words of all phrases, without prefixes."""
        return {word for phrase in self._whole for word in phrase}

    def _begun(self, phrase: Phrase) -> list[str]:
        *head, last = phrase
        for end in range(len(last), 1, -1):
            if found := self._prefixes.get((*head, last[:end])):
                return found
        return []


@dataclass(frozen=True)
class Lexicon:
    """The content of `english.yaml`.

    Attributes:
      stop: words and phrases without meaning for a question.
      ask: question words, which have little weight.
      synonyms: phrases by the words that replace them.
      refers: phrases that refer to the butterfly at hand.
      refers_weakly: phrases that may mean the butterfly at hand or butterflies in general.
      home: words that mark a question as one about butterflies.
      beyond: words on subjects that hardly any fact covers, such as prices and songs.
      photo: phrases that refer to the photo.
      general: phrases that refer to butterflies in general.
      talk: phrases that ask for no fact, by kind: greetings and questions about the photo.
      say: the chat's own sentences.
    """

    stop: Phrases
    ask: frozenset[str]
    synonyms: Phrases
    refers: Phrases
    refers_weakly: Phrases
    home: Phrases
    beyond: Phrases
    photo: Phrases
    general: Phrases
    talk: Phrases
    say: Mapping[str, str]

    def content(self, words: Sequence[str]) -> list[str]:
        """Returns the words with meaning for a question, with synonyms replaced."""
        found: list[str] = []
        start = 0
        while start < len(words):
            stopped, _ = self.stop.at(words, start)
            length, meanings = self.synonyms.at(words, start)
            if length >= stopped and length:
                found += meanings[0].split()
            elif not stopped:
                found.append(words[start])
            start += max(length, stopped, 1)
        return found


def document() -> dict[str, Any]:
    """Returns the content of `english.yaml` unparsed: phrases in one text, or such texts by meaning."""
    import yaml

    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@functools.cache
def lexicon() -> Lexicon:
    """Returns the lexicon, cached."""
    content = document()

    def one(name: str) -> Phrases:
        return Phrases({name: split(content[name])})

    def several(name: str) -> Phrases:
        return Phrases({meaning: split(phrases) for meaning, phrases in content[name].items()})

    return Lexicon(
        stop=one("stop"),
        ask=frozenset(split(content["ask"])),
        synonyms=several("synonyms"),
        refers=one("refers"),
        refers_weakly=one("refers_weakly"),
        home=one("home"),
        beyond=one("beyond"),
        photo=one("photo"),
        general=one("general"),
        talk=several("talk"),
        say=content["say"],
    )


def split(phrases: str) -> list[str]:
    """Returns the comma-separated phrases of a text."""
    return [phrase.strip() for phrase in phrases.split(",") if phrase.strip()]


class Stemmer:
    """Stemmer of English words (Snowball); thread-safe."""

    def __init__(self) -> None:
        import Stemmer as snowball

        self._stem_words: Any = snowball.Stemmer("english").stemWords
        # PyStemmer's own object is not thread-safe.
        self._lock = threading.Lock()

    def __call__(self, words: Sequence[str]) -> list[str]:
        """Returns the stems of folded words."""
        with self._lock:
            return list(self._stem_words(list(words)))


def edits(one: str, other: str, limit: int) -> int:
    """Returns the edit distance of two words, with swaps of neighbours as one edit; `limit` + 1 where it is larger.

    The restricted Damerau-Levenshtein distance (optimal string alignment).
    """
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], before[j - 2] + 1)
        if min(row) > limit:
            return limit + 1
        before, last = last, row
    return min(last[-1], limit + 1)


class Speller:
    """Spelling corrector: replaces words outside a vocabulary by a close one."""

    def __init__(self, vocabulary: set[str], short: Iterable[str] = ()) -> None:
        """Takes the folded words of the vocabulary, and short ones that count as corrections too."""
        self._vocabulary = vocabulary
        self._short = sorted(short)
        self._by_letter: dict[str, list[str]] = {}
        for word in sorted(vocabulary):
            if len(word) >= MIN_MISSPELT - 1:
                self._by_letter.setdefault(word[0], []).append(word)
        self.correct = functools.lru_cache(4096)(self._correct)

    def _correct(self, word: str) -> str:
        """Returns the closest word of the vocabulary, else the word itself."""
        if word in self._vocabulary or not word.isalpha():
            return word
        if len(word) < MIN_MISSPELT:
            # "whch", "waht": only where a single one is closest.
            close = [other for other in self._short if len(word) > 2 and edits(word, other, 1) <= 1]
            return close[0] if len(close) == 1 else word
        limit = 2 if len(word) >= LONG_WORD else 1
        # The first letter is rarely wrong, and a short word with another letter is usually another word.
        near = [
            (edits(word, other, limit), other)
            for other in self._by_letter.get(word[0], [])
            if len(word) != len(other) or len(word) >= MIN_CHANGED or sorted(word) == sorted(other)
        ]
        return min((found for found in near if found[0] <= limit), default=(0, word))[1]
