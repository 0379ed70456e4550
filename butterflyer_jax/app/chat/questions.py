"""Interpretation of a message: its question, its words, and its species."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from butterflyer_jax.app.chat import word_vectors
from butterflyer_jax.app.chat.conversation import Identification, Message, clean
from butterflyer_jax.app.chat.english import Lexicon, Speller, Stemmer, lexicon, words_of
from butterflyer_jax.app.chat.species_names import SpeciesNames
from butterflyer_jax.app.knowledge.base import Knowledge

# Longest part of a message that is read, in words; a message may have thousands.
MAX_WORDS = 200
# Number of earlier user messages that a follow-up may refer to.
MAX_LOOK_BACK = 10
PHOTO = "photo"
# Share of unknown words among the first ones from which a question counts as foreign.
MIN_KNOWN = 0.25
LIFESPAN = "lifespan"
# Pattern of a life span in a text.
_LIVES = re.compile(r"\b(live|lives|life)\b[^.;]*\b(days|weeks|months|year|years)\b")
_GREETINGS = ("hello", "thanks", "bye")
BUTTERFLY = "butterfli"
# Subjects other than the whole butterfly, which a follow-up question may omit or replace.
SUBJECTS = frozenset({"egg", "caterpillar", "chrysali", "cocoon", "moth", "wing", "antenna", "milkwe"})
# Words that compare the butterfly at hand with a named one.
COMPARE = frozenset({"differ", "similar", "from", "than", "or"})


@dataclass(frozen=True)
class Question:
    """A message, interpreted by its words.

    Attributes:
      words: all words, folded and spell-checked, without the names of species.
      said: `words`, completed by those of an earlier question if it is a follow-up.
      names: words of the species' names.
      stems: stems of the words with meaning, in order, with synonyms replaced.
      ask: question words.
      species: scientific names of the species in the message.
      refers: whether it refers to the butterfly at hand, as by "it".
      of_photo: whether it refers to the photo itself.
      general: whether it is about butterflies in general and not the one at hand.
      at_home: whether it contains words about butterflies.
      talk: kind of greeting or small talk, where it is nothing else.
      foreign: whether hardly any word is known, as in another language.
    """

    words: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    species: tuple[str, ...] = ()
    refers: bool = False
    of_photo: bool = False
    general: bool = False
    at_home: bool = False
    talk: str = ""
    foreign: bool = False

    @property
    def asks(self) -> bool:
        """Whether it asks something, rather than only naming or meaning a species."""
        return any(stem != BUTTERFLY for stem in self.stems)


@dataclass(frozen=True)
class Asked:
    """A question in the context of its conversation.

    Attributes:
      question: the last message, completed by the words of an earlier one if it is a follow-up.
      about: scientific names of the species in question, or the label of one that the knowledge base lacks; empty for
        butterflies in general.
      of_photo: whether it is about the butterfly in the photo.
    """

    question: Question
    about: tuple[str, ...]
    of_photo: bool


class Reader:
    """Interpreter of the messages of a conversation.

    Attributes:
      beyond: stems that a fact must contain to answer a question with them, such as prices.
    """

    def __init__(self, knowledge: Knowledge, vocabulary: set[str], common: Set[str] = frozenset()) -> None:
        """Takes the knowledge base, the words of its passages and typical questions, and other correct words."""
        self._stem = Stemmer()
        self._knowledge = knowledge
        self._names = SpeciesNames(knowledge, self._stem)
        self._lexicon = lexicon()
        self._home = frozenset(self._stem(sorted(self._lexicon.home.words())))
        self.beyond = frozenset(self._stem(sorted(self._lexicon.beyond.words())))
        self._known = vocabulary | _own_words(self._lexicon)
        self._speller = Speller(self._known | self._names.words, self._lexicon.ask)
        self._known_stems = frozenset(self._stem(sorted(self._known)))
        self._common = common

    def stems_of(self, text: str) -> tuple[str, ...]:
        """Returns the stems of the words of a text with meaning, as for a question."""
        content = self._lexicon.content(words_of(text))
        return tuple(self._stem([*content, LIFESPAN] if _LIVES.search(text) else content))

    def read(self, text: str) -> Question:
        """Returns the interpretation of a message by itself."""
        spelt = words_of(clean(text))[:MAX_WORDS]
        # "talking" is not a misspelt "taking" where "talk" is known.
        words = [
            word if stem in self._known_stems or word in self._common else self._speller.correct(word)
            for word, stem in zip(spelt, self._stem(spelt), strict=True)
        ]
        mentions = self._names.find(words)
        named = {i for mention in mentions for i in range(mention.start, mention.start + mention.length)}
        rest = [word for i, word in enumerate(words) if i not in named]
        talk, greeting = self._talk(rest)
        of_photo = {i for start, length, _ in self._lexicon.photo.all(rest) for i in range(start, start + length)}
        known = sum(word in self._known for word in rest)
        rest = [word for i, word in enumerate(rest) if i not in greeting | of_photo]
        content = self._lexicon.content(rest)
        refers = bool(of_photo) or any(self._lexicon.refers.all(words))
        if {"long", "live"} <= set(content):
            content = [LIFESPAN if word == "live" else word for word in content if word != "long"]
        stems = tuple(self._stem([word for word in content if word not in self._lexicon.ask]))
        return Question(
            words=tuple(rest),
            said=tuple(rest),
            names=tuple(word for i, word in enumerate(words) if i in named),
            stems=stems,
            ask=tuple(word for word in content if word in self._lexicon.ask),
            species=tuple(dict.fromkeys(mention.species for mention in mentions)),
            refers=refers or any(self._lexicon.refers_weakly.all(words)),
            of_photo=bool(of_photo) or talk == PHOTO,
            general=not mentions and not refers and any(self._lexicon.general.all(spelt)),
            at_home=bool(mentions) or not self._home.isdisjoint(stems),
            talk="" if mentions else talk,
            foreign=not mentions and known < MIN_KNOWN * len(words),
        )

    def read_earlier(self, messages: Sequence[Message]) -> list[Question]:
        """Returns the interpretations of the user's newest messages, each by itself."""
        said = [message.text for message in messages if message.role == "user"][-MAX_LOOK_BACK:]
        return [self.read(text) for text in said]

    def in_context(self, text: str, earlier: Sequence[Question], identification: Identification | None) -> Asked:
        """Returns the interpretation of a message in context, completed if it is a follow-up.

        Args:
          text: text of the message.
          earlier: result of `read_earlier`.
          identification: identification of the photo, None for none.
        """
        question = self.read(text)
        last = next((asked for asked in reversed(earlier) if asked.species or asked.general), Question())
        at_hand = last.species
        of_photo = identification is not None and (not at_hand or question.of_photo)
        if identification and of_photo:
            species = self._knowledge.find(identification.species)
            at_hand = (species.scientific_name if species else identification.species,)
        before = next((asked for asked in reversed(earlier) if asked.asks), Question())
        says_little = not question.asks and not question.talk and not question.general
        if says_little and (question.species or question.ask or _continues(question)):
            # "And the Red Admiral?" asks the same about another species; "Why?" about the same one.
            general = before.general and not question.species
            said = (*question.ask, *before.said)
            ask, at_home = question.ask or before.ask, question.at_home or before.at_home
            question = replace(question, said=said, stems=before.stems, ask=ask, general=general, at_home=at_home)
        kept = tuple(stem for stem in before.stems if stem in SUBJECTS)
        is_first = not earlier and question.asks and any(self._lexicon.refers_weakly.all(question.words))
        is_general = last.general or is_first
        if _replaces_subject(question) and before.asks:
            # "And moths?" after "How long do butterflies live?"
            rest = tuple(stem for stem in before.stems if stem not in (*kept, BUTTERFLY))
            said = (*question.said, *(word for word in before.said if not self._is_subject(word)))
            stems = (*question.stems, *rest)
            question = replace(question, said=said, stems=stems, ask=before.ask, general=True, at_home=True)
        elif is_general and not question.species and not identification and (question.refers or _continues(question)):
            # "Do they bite?" first of all, or after a question about butterflies in general, or about caterpillars.
            new = kept if SUBJECTS.isdisjoint(question.stems) and question.asks else ()
            subject = [word for word in before.said if self._is_subject(word)] if new else [word_vectors.BUTTERFLY]
            said = (*subject, *question.said)
            question = replace(question, said=said, stems=(*new, *question.stems), general=True, at_home=True)
        general = question.general and not question.species
        compares = not COMPARE.isdisjoint((*question.stems, *question.words))
        compares_it = question.refers and len(question.species) == 1 and compares
        at_large = bool(question.species and not compares_it) or general
        about = dict.fromkeys((*(() if at_large else at_hand), *question.species))
        return Asked(question, tuple(about), of_photo and not at_large)

    def _is_subject(self, word: str) -> bool:
        """Returns whether a word names a butterfly, a stage of one or another subject."""
        return not {*SUBJECTS, BUTTERFLY}.isdisjoint(self._stem(self._lexicon.content([word])))

    def _talk(self, words: Sequence[str]) -> tuple[str, set[int]]:
        """Returns the kind of a message that is only small talk, and the indices of greeting words."""
        lexicon = self._lexicon
        found = [(start, length, meanings[0]) for start, length, meanings in lexicon.talk.all(words)]
        if not found:
            return "", set()
        spans = [
            (start, length) for start, length, _ in (*found, *lexicon.refers.all(words), *lexicon.photo.all(words))
        ]
        said = {i for start, length in spans for i in range(start, start + length)}
        only = not lexicon.content([word for i, word in enumerate(words) if i not in said])
        greeting = {
            i
            for start, length, meaning in found
            if meaning in _GREETINGS and (start == 0 or start + length == len(words))
            for i in range(start, start + length)
        }
        return (found[-1][2] if only else ""), greeting


def _continues(question: Question) -> bool:
    """Returns whether a question is marked as a follow-up, as in "and in winter?"."""
    return question.words[:1] == ("and",) or question.words[:2] in (("what", "about"), ("how", "about"))


def _replaces_subject(question: Question) -> bool:
    """Returns whether a question only names a new subject for the previous one, as in "and moths?"."""
    subjects = SUBJECTS | {BUTTERFLY}
    named = bool(question.stems) and subjects.issuperset(question.stems) and not question.species
    return named and (_continues(question) or not question.ask)


def _own_words(lexicon: Lexicon) -> set[str]:
    phrases = (
        lexicon.stop,
        lexicon.synonyms,
        lexicon.refers,
        lexicon.refers_weakly,
        lexicon.home,
        lexicon.beyond,
        lexicon.photo,
        lexicon.general,
        lexicon.talk,
    )
    return {*lexicon.ask, *(word for each in phrases for word in each.words())}
