"""What a message asks: of which species, which kinds of facts, and in which words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from butterflyer_jax.app.chat.conversation import Identification, Message, clean
from butterflyer_jax.app.chat.languages import (
    ENGLISH,
    HINT,
    OTHER,
    Language,
    identifier,
    language_of,
    language_or_english,
    languages,
    words_of,
)
from butterflyer_jax.app.chat.species_names import SpeciesNames, stemmer
from butterflyer_jax.app.knowledge.base import Knowledge

# Words beyond these say nothing new, and a message may have thousands.
MAX_WORDS = 200
# Of a word in another language that the lexicon lacks: it may be one of the many that say nothing.
UNKNOWN_WEIGHT = 0.5
# Messages of the user's in which the species and kind of a follow-up are looked for.
MAX_LOOK_BACK = 10
PHOTOGRAPH = "photograph"
_GREETINGS = ("hello", "thanks", "bye")
_BUTTERFLY = "butterfly"
# By these a question is about butterflies, whatever else it says.
HOME = (
    *("butterfly", "moth", "insect", "caterpillar", "larva", "chrysalis", "pupa", "cocoon", "wing", "antenna"),
    *("proboscis", "lepidoptera", "metamorphosis", "eyespot", "nectar", "mimicry", "diapause", "puddling", "pollinate"),
)


@dataclass(frozen=True)
class Term:
    """A word or phrase of a question.

    Attributes:
      stems: of English words that a passage may hold; any of them will do.
      kinds: of facts that it asks for, from 0 to 1.
      weight: how much it counts beside the others.
    """

    stems: tuple[str, ...]
    kinds: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True)
class Question:
    """A message, understood as far as words go.

    Attributes:
      language: code, or `OTHER`.
      kinds: of facts that are asked for, from 0 to 1.
      species: scientific names of the species that it names.
      refers: it speaks of the butterfly at hand, as "it".
      of_photo: it speaks of the photograph itself.
      general: it speaks of butterflies at large, and not of the one at hand.
      at_home: it surely is about butterflies.
      talk: greetings and the like, where it is nothing else.
      terms: what a passage should hold, without the names.
    """

    language: str = ENGLISH
    kinds: Mapping[str, float] = field(default_factory=dict)
    species: tuple[str, ...] = ()
    refers: bool = False
    of_photo: bool = False
    general: bool = False
    at_home: bool = False
    talk: str = ""
    terms: tuple[Term, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether it asks for something of its species, and not just names or means them."""
        return bool(self.kinds) or any(term.weight for term in self.terms)


@dataclass(frozen=True)
class Asked:
    """A question in its conversation.

    Attributes:
      question: the last message, with the kinds of an earlier one where it is a follow-up.
      about: scientific names of the species that it is about, or the label of one that the base does not have; none
        where it is about butterflies at large.
      of_photograph: it is about the butterfly on the photograph.
    """

    question: Question
    about: tuple[str, ...]
    of_photograph: bool


class Reader:
    """Reads the messages of conversations about a knowledge base."""

    def __init__(self, knowledge: Knowledge, vocabulary: frozenset[str]) -> None:
        """Takes the base and the stems of its passages."""
        # The first visitor is not to wait for it.
        identifier()
        self._stem = stemmer()
        self._knowledge = knowledge
        self._vocabulary = vocabulary
        self._home = frozenset(self._stem(HOME))
        (self._butterfly,) = self._stem([_BUTTERFLY])
        self._names = SpeciesNames(knowledge, _other_names(), vocabulary)

    def read(self, text: str, before: str = ENGLISH) -> Question:
        """Returns what a message asks by itself.

        Args:
          text: the message.
          before: language of the conversation so far.
        """
        words = words_of(clean(text))[:MAX_WORDS]
        mentions = self._names.find(words)
        named = {i for mention in mentions for i in range(mention.start, mention.start + mention.length)}
        rest = [word for i, word in enumerate(words) if i not in named]
        code = language_of(" ".join(rest) if named else text[:1000], before)
        language = language_or_english(code)
        talk, greeting = _talk(rest, language)
        of_photo = {i for start, length, _ in language.photo.all(rest) for i in range(start, start + length)}
        rest = [word for i, word in enumerate(rest) if i not in greeting | of_photo]
        terms = tuple(self._stemmed(term) for term in _terms(rest, language))
        if code == OTHER and mentions:
            # Of the rest nothing is understood, but the name.
            terms = tuple(term for term in terms if not self._vocabulary.isdisjoint(term.stems))
        kinds: dict[str, float] = {}
        for term in terms:
            kinds.update({kind: max(kinds.get(kind, 0.0), strength) for kind, strength in term.kinds.items()})
        references = {meaning for _, _, meanings in language.refers.all(words) for meaning in meanings}
        return Question(
            language=code,
            kinds=kinds,
            species=tuple(dict.fromkeys(mention.species for mention in mentions)),
            refers=bool(references or of_photo),
            of_photo=bool(of_photo) or talk == PHOTOGRAPH,
            general=any(language.general.all(words)) and not (of_photo or "refers" in references),
            talk="" if mentions else talk,
            at_home=bool(mentions) or any(not self._home.isdisjoint(term.stems) for term in terms),
            terms=terms,
        )

    def _stemmed(self, term: Term) -> Term:
        stems = tuple(dict.fromkeys(self._stem(term.stems)))
        # Nearly every passage has the word, so it cannot tell which of them answers.
        return Term(stems, term.kinds, 0.0 if self._butterfly in stems and not term.kinds else term.weight)

    def read_earlier(self, messages: Sequence[Message]) -> list[Question]:
        """Returns what the newest of the user's messages ask, each by itself."""
        said = [message.text for message in messages if message.role == "user"][-MAX_LOOK_BACK:]
        questions: list[Question] = []
        for text in said:
            questions.append(self.read(text, _language(questions)))
        return questions

    def in_context(self, text: str, earlier: Sequence[Question], identification: Identification | None) -> Asked:
        """Returns what a message asks, where it is a follow-up with what was asked before.

        Args:
          text: the message.
          earlier: of `read_earlier`.
          identification: of the photograph, if there is one.
        """
        question = self.read(text, _language(earlier))
        at_hand = next((asked.species for asked in reversed(earlier) if asked.species), ())
        of_photograph = identification is not None and (not at_hand or question.of_photo)
        if identification and of_photograph:
            species = self._knowledge.find(identification.species)
            at_hand = (species.scientific_name if species else identification.species,)
        if not question.asks and not question.talk and (question.species or question.refers):
            asked_before = next((asked for asked in reversed(earlier) if asked.kinds), Question())
            question = replace(question, kinds=asked_before.kinds, terms=asked_before.terms)
        compares_it = "look_alikes" in question.kinds and question.refers and len(question.species) == 1
        at_large = bool(question.species and not compares_it) or question.general
        about = dict.fromkeys((*(() if at_large else at_hand), *question.species))
        return Asked(question, tuple(about), of_photograph and not at_large)


def _terms(words: Sequence[str], language: Language) -> Iterator[Term]:
    """Yields the terms of a message, in English words where the language has them."""
    start = 0
    while start < len(words):
        length, kinds = language.kinds.at(words, start)
        in_words, meanings = language.words.at(words, start)
        refers, _ = language.refers.at(words, start)
        taken = max(length, in_words, 1)
        own = [word for word in words[start : start + taken] if word not in language.stop]
        english = [word for meaning in meanings for word in meaning.split()]
        if language.code == ENGLISH:
            english = own + english
        if kinds and length >= in_words:
            strengths = {kind.lstrip("~"): HINT if kind.startswith("~") else 1.0 for kind in kinds}
            if "look_alikes" in strengths:
                # Of a species without any, how to recognise it is the next best.
                strengths.setdefault("identification", HINT)
            yield Term(tuple(english), strengths)
        elif english:
            yield Term(tuple(english))
        elif own and not refers:
            yield Term(tuple(own), weight=UNKNOWN_WEIGHT)
        start += taken


def _language(earlier: Sequence[Question]) -> str:
    return earlier[-1].language if earlier and earlier[-1].language != OTHER else ENGLISH


def _talk(words: Sequence[str], language: Language) -> tuple[str, set[int]]:
    """Returns what a message says, if but for words that say nothing it is only talk; and the words that greet."""
    found = [(start, length, meanings[0]) for start, length, meanings in language.talk.all(words)]
    if not found:
        return "", set()
    spans = [(start, length) for start, length, _ in (*found, *language.refers.all(words), *language.photo.all(words))]
    said = {i for start, length in spans for i in range(start, start + length)}
    only = all(word in language.stop for i, word in enumerate(words) if i not in said)
    greeting = {i for start, length, meaning in found if meaning in _GREETINGS for i in range(start, start + length)}
    return (found[-1][2] if only else ""), greeting


def _other_names() -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for language in languages().values():
        for species, of_species in language.species.items():
            names.setdefault(species, []).extend(of_species)
    return names
