"""The languages that the chat understands: the words of their questions, and the sentences around an answer.

A language is a file in `languages/`, which says in its first lines how it is read.
"""

from __future__ import annotations

import functools
import importlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from butterflyer_jax import extras

FOLDER = Path(__file__).parent / "languages"
ENGLISH = "en"
OTHER = "other"
HINT = 0.4
# By these the language of a text is told.
MAX_WORDS = 50
# py3langid's probability of a language that is none of ours, and the fewest words that make it believable.
OTHER_PROBABILITY = 0.9
OTHER_WORDS = 4

_PHRASES = ("kinds", "words", "talk", "species")
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
    """Phrases, each with meanings, that are looked up in the words of a text.

    Of those that begin at a word the longest counts; a last word ending in * stands for all that begin so.
    """

    def __init__(self, meanings: Mapping[str, Sequence[str]]) -> None:
        """Takes for each meaning its phrases."""
        self._whole: dict[Phrase, list[str]] = {}
        self._prefixes: dict[Phrase, list[str]] = {}
        for meaning, phrases in meanings.items():
            for phrase in phrases:
                hint, body = ("~" if phrase.startswith("~") else ""), phrase.lstrip("~")
                table = self._prefixes if body.endswith("*") else self._whole
                table.setdefault(tuple(words_of(body)), []).append(hint + meaning)
        self._longest = max(map(len, (*self._whole, *self._prefixes)), default=0)

    def at(self, words: Sequence[str], start: int) -> tuple[int, list[str]]:
        """Returns how many words from `start` on the longest phrase takes, and its meanings; (0, []) without one."""
        for length in range(min(self._longest, len(words) - start), 0, -1):
            phrase = tuple(words[start : start + length])
            if found := self._whole.get(phrase, []) + self._begun(phrase):
                return length, found
        return 0, []

    def all(self, words: Sequence[str]) -> Iterator[tuple[int, int, list[str]]]:
        """Yields start, length and meanings of the phrases of a text, which do not overlap."""
        start = 0
        while start < len(words):
            length, meanings = self.at(words, start)
            if length:
                yield start, length, meanings
            start += length or 1

    def _begun(self, phrase: Phrase) -> list[str]:
        *head, last = phrase
        for end in range(len(last), 1, -1):
            if found := self._prefixes.get((*head, last[:end])):
                return found
        return []


@dataclass(frozen=True)
class Language:
    """What is known of a language.

    Attributes:
      code: of two letters.
      name: in English.
      stop: words that say nothing of what is asked.
      kinds: phrases that mean a kind of fact; of a hint the meaning begins with ~.
      words: phrases that stand for English words.
      refers: phrases by which a question speaks of the butterfly at hand.
      photo: phrases by which it speaks of the photograph.
      general: phrases by which it speaks of butterflies at large.
      talk: what is said without asking for a fact: greetings and questions about the photograph.
      species: names of species, by scientific name.
      say: the sentences around an answer.
      labels: kinds as a visitor reads them.
    """

    code: str
    name: str
    stop: frozenset[str]
    kinds: Phrases
    words: Phrases
    refers: Phrases
    photo: Phrases
    general: Phrases
    talk: Phrases
    species: Mapping[str, list[str]]
    say: Mapping[str, str]
    labels: Mapping[str, str]

    def knows(self, words: Sequence[str]) -> int:
        """Returns how many of the words belong to this language's own."""
        count = sum(word in self.stop for word in words)
        for phrases in (self.kinds, self.words, self.talk):
            count += sum(length for _, length, _ in phrases.all(words))
        return count


@functools.cache
def languages() -> Mapping[str, Language]:
    """Returns the languages by code, English first."""
    files = sorted(FOLDER.glob("*.yaml"), key=lambda file: (file.stem != ENGLISH, file.stem))
    return {file.stem: _read(file) for file in files}


def language_or_english(code: str) -> Language:
    """Returns the language of a code, and English for `OTHER`."""
    return languages().get(code, languages()[ENGLISH])


def language_of(text: str, before: str = ENGLISH) -> str:
    """Returns the code of the language of a text, or `OTHER`.

    Args:
      text: names of species had better be gone from it, as Latin looks like Italian.
      before: language of the conversation so far, for a text that says nothing of its own.
    """
    words = words_of(text)[:MAX_WORDS]
    known = {code: language.knows(words) for code, language in languages().items()}
    best = max(known.values())
    if not best:
        return OTHER if _is_other(text, words) else before
    # Half of the words of a sentence in a related language may look like ours.
    if best <= len(words) / 4 and _is_other(text, words):
        return OTHER
    equal = [code for code, count in known.items() if count == best]
    if len(equal) == 1:
        return equal[0]
    if before in equal:
        return before
    ranked = [code for code, _ in identifier().rank(text) if code in equal]
    return ranked[0] if len(words) >= OTHER_WORDS else equal[0]


def _is_other(text: str, words: Sequence[str]) -> bool:
    letters = [c for c in text if c.isalpha()]
    if letters and not any("LATIN" in unicodedata.name(c, "") for c in letters):
        return True
    if len(words) < OTHER_WORDS:
        return False
    code, probability = identifier().classify(text)
    return code not in languages() and probability > OTHER_PROBABILITY


@functools.cache
def identifier() -> Any:
    """Returns what tells languages apart, by all that it knows; takes a moment the first time."""
    identifiers = load("py3langid.langid")
    return identifiers.LanguageIdentifier.from_model_file(identifiers.MODEL_FILE, norm_probs=True)


def _read(file: Path) -> Language:
    document = load("yaml").safe_load(file.read_text(encoding="utf-8"))
    listed = {key: {k: _split(v) for k, v in document.get(key, {}).items()} for key in _PHRASES}
    return Language(
        code=file.stem,
        name=document["name"],
        stop=frozenset(word for phrase in _split(document["stop"]) for word in words_of(phrase)),
        kinds=Phrases(listed["kinds"]),
        words=Phrases(listed["words"]),
        refers=Phrases({"refers": _split(document["refers"])}),
        photo=Phrases({"photo": _split(document["photo"])}),
        general=Phrases({"general": _split(document["general"])}),
        talk=Phrases(listed["talk"]),
        species=listed["species"],
        say=document["say"],
        labels=document["labels"],
    )


def _split(phrases: str) -> list[str]:
    return [phrase.strip() for phrase in phrases.split(",") if phrase.strip()]


def load(module: str) -> Any:
    """Returns the module of that name.

    Raises:
      UserError: it is not installed.
    """
    extras.require("app", module.partition(".")[0], purpose="the chat")
    return importlib.import_module(module)
