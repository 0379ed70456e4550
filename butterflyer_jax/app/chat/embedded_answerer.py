"""Answerer without a network: quotes the knowledge base in English, with sources."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence

from butterflyer_jax.app.chat.citations import Citations
from butterflyer_jax.app.chat.comparisons import Comparer, Line
from butterflyer_jax.app.chat.conversation import (
    Identification,
    Message,
    Piece,
    label,
    reply_without_answering,
    trimmed,
)
from butterflyer_jax.app.chat.english import lexicon
from butterflyer_jax.app.chat.questions import BUTTERFLY, PHOTO, Asked
from butterflyer_jax.app.chat.retrieval import Found, Retriever, names_of
from butterflyer_jax.app.chat.suggestions import Suggester
from butterflyer_jax.app.knowledge.base import Knowledge, Passage

MAX_PASSAGES = 3
# Number of other species that the photo may show and that are named.
MIN_PROBABILITY = 0.01
MAX_OTHERS = 2
# A shorter first sentence is quoted together with the next, characters.
SHORT = 70
# A general passage up to this length is quoted whole, characters.
WHOLE = 260

# Stem of questions for a difference.
DIFFER = "differ"
# Weight of the species' name in a sentence of a general passage, in words.
NAMED = 1.5

# Not after a single letter, as in "U.S. Fish and Wildlife Service".
_SENTENCE = re.compile(r"(?<=[.;?!])(?<!\b[A-Z]\.)\s+(?=[A-Z0-9])")
# A sentence that begins so depends on the one before it.
_DEPENDENT = re.compile(r"(It|They|These|This|That|Its|Their|He|She|Some|Others|Other|Such|There|Then|Both|From)\b")


class EmbeddedAnswerer:
    """Answers with one or two sentences of the knowledge base; the rest of the passage follows as more."""

    name = "embedded"

    def __init__(self, retriever: Retriever) -> None:
        """Takes the retriever of passages."""
        self.retriever = retriever
        self.comparer = Comparer(retriever.knowledge, retriever.reader)
        self._suggester = Suggester(retriever)

    def answer(
        self, messages: Sequence[Message], identification: Identification | None
    ) -> Generator[Piece, None, None]:
        """Yields the answer to the last message: sentence by sentence, then the sources."""
        if reply := reply_without_answering(messages):
            yield Piece(reply)
            return
        asked, found = self.retriever.look_up(trimmed(messages), identification, MAX_PASSAGES)
        yield from self.quote(asked, found, identification, Citations())

    def quote(
        self, asked: Asked, found: Sequence[Found], identification: Identification | None, citations: Citations
    ) -> Iterator[Piece]:
        """Yields the answer from given passages; `citations` may already contain sources."""
        question = asked.question
        say = lexicon().say
        if question.talk:
            yield Piece(self._talk(question.talk, say, identification))
            return
        parts: list[tuple[str, str]] = []
        compared = self.comparer.compare(asked)
        suggestions = () if compared else self._suggester.suggest(asked, found)
        if compared:
            parts += [(_cited(line, citations), "") for line in compared]
        elif found:
            parts.append((caveat_of(asked, identification, self.retriever.knowledge), ""))
            parts += self._quoted(asked, [one.passage for one in found], citations)
        else:
            parts.append((caveat_of(asked, identification, self.retriever.knowledge), ""))
            parts.append((say["unclear"] if suggestions else self._unknown(asked, say), ""))
        for number, (text, more) in enumerate((text, more) for text, more in parts if text):
            yield Piece(f"\n\n{text}" if number else text, more=more)
        if suggestions:
            yield Piece(suggestions=suggestions)
        if citations.sources:
            yield Piece(sources=tuple(citations.sources))

    def _quoted(self, asked: Asked, passages: Sequence[Passage], citations: Citations) -> Iterator[tuple[str, str]]:
        """Yields the quoted part and the rest of each passage that answers."""
        several = not asked.question.asks or (len(asked.about) > 1 and len({p.species for p in passages}) > 1)
        for passage in passages if several else passages[:1]:
            short, more = self._split(passage, asked)
            # Prefixed by the name, as not every fact contains it.
            name = (
                f"{shown(passage.species, self.retriever.knowledge)}: "
                if len(asked.about) > 1 and passage.species
                else ""
            )
            yield f"{name}{short} {citations.cite(passage.sources)}", more

    def _split(self, passage: Passage, asked: Asked) -> tuple[str, str]:
        """Returns the one or two sentences of a passage that answer, and the others."""
        differs = DIFFER in asked.question.stems
        if passage.species is None and (differs or len(passage.text) <= WHOLE):
            # A difference takes the sentences on both.
            return passage.text, ""
        sentences = _SENTENCE.split(passage.text)
        stems = set(asked.question.stems) - {BUTTERFLY}
        of_each = [stems & set(self.retriever.reader.stems_of(sentence)) for sentence in sentences]
        counts = Counter(itertools.chain(*of_each))
        named = names_of(self.retriever.knowledge, asked.about)

        def held(place: int) -> float:
            # Words in fewer sentences have more weight; in a general passage the species has the most.
            of_species = not passage.species and any(name in sentences[place] for name in named)
            return sum(1 / counts[stem] for stem in of_each[place]) + NAMED * of_species

        # The first of the best sentences.
        start = max(range(len(sentences)), key=lambda place: (held(place), -place))
        if held(start) == held(0):
            start = 0
        end = start + 1
        while start and _DEPENDENT.match(sentences[start]):
            start -= 1
        if end < len(sentences) and end - start == 1 and len(sentences[start]) < SHORT:
            end += 1
        return " ".join(sentences[start:end]), " ".join(sentences[:start] + sentences[end:])

    def _talk(self, talk: str, say: Mapping[str, str], identification: Identification | None) -> str:
        knowledge = self.retriever.knowledge
        if talk == PHOTO:
            return _identified(identification, knowledge, say) if identification else say["no_photo"]
        if talk == "hello" and identification and identification.named:
            return say["hello"].format(about=shown(identification.species, knowledge))
        return say["hello_any" if talk == "hello" else talk]

    def _unknown(self, asked: Asked, say: Mapping[str, str]) -> str:
        question = asked.question
        if question.foreign:
            return say["other_language"]
        species = self.retriever.knowledge.find(asked.about[0]) if asked.about else None
        if species and (question.species or question.refers):
            return say["unknown_of"].format(species=shown(species.scientific_name, self.retriever.knowledge))
        needs = not (asked.about or question.general) and self.retriever.needs_species(question)
        return say["which"] if needs else say["unknown"]


def _cited(line: Line, citations: Citations) -> str:
    return f"{line.text} {citations.cite(line.sources)}".rstrip()


def shown(species: str, knowledge: Knowledge) -> str:
    """Returns the displayed name of a species or label, with the scientific name where known."""
    known = knowledge.find(species)
    return f"{known.name} ({known.scientific_name})" if known else label(species)


def percent(probability: float) -> str:
    """Returns a probability as displayed text; never 100%."""
    return "> 99%" if probability > 0.99 else f"{probability:.0%}"


def caveat_of(asked: Asked, identification: Identification | None, knowledge: Knowledge) -> str:
    """Returns the caveat of an answer about an unsure photo, or about a species that the knowledge base lacks."""
    if not identification or not asked.of_photo:
        return ""
    say = lexicon().say
    name, probability = shown(identification.species, knowledge), percent(identification.probability)
    unsure = "" if identification.named else say["not_sure"].format(species=name, probability=probability)
    nothing = "" if knowledge.find(identification.species) else say["no_species"].format(species=name)
    return " ".join(filter(None, (unsure, nothing)))


def _identified(identification: Identification, knowledge: Knowledge, say: Mapping[str, str]) -> str:
    sentence = say["named" if identification.named else "not_sure"]
    first = sentence.format(
        species=shown(identification.species, knowledge), probability=percent(identification.probability)
    )
    others = [
        f"{shown(species, knowledge)} ({percent(probability)})"
        for species, probability in identification.ranked
        if species != identification.species and probability >= MIN_PROBABILITY
    ][:MAX_OTHERS]
    return f"{first} {say['others'].format(others=', '.join(others))}" if others else first
