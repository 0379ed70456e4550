"""The answerer that needs no network: it quotes the knowledge base and says where that stands."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from butterflyer_jax.app.chat.citations import Citations
from butterflyer_jax.app.chat.conversation import (
    Identification,
    Message,
    Piece,
    label,
    reply_without_answering,
    trimmed,
)
from butterflyer_jax.app.chat.languages import OTHER, language_or_english
from butterflyer_jax.app.chat.questions import PHOTOGRAPH, Asked
from butterflyer_jax.app.chat.retrieval import Found, Retriever
from butterflyer_jax.app.knowledge.base import Knowledge, Passage

MAX_PASSAGES = 3
# Passages that fit nearly as well as the best are quoted beside it.
MARGIN = 0.5
# Of the other species that the photograph may show.
MIN_PROBABILITY = 0.01
MAX_OTHERS = 2
NAMED_KINDS = ("host_plants", "range", "flight_season", "wingspan", "look_alikes")


class EmbeddedAnswerer:
    """Answers with passages of the knowledge base, in English, in sentences of the visitor's language."""

    name = "embedded"

    def __init__(self, retriever: Retriever) -> None:
        """Takes what finds the passages."""
        self.retriever = retriever

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
        """Yields the answer from passages that were found already; `citations` may hold sources that came before."""
        question = asked.question
        language = language_or_english(question.language)
        say = language.say
        parts = []
        if question.language == OTHER:
            parts.append(say["other_language"])
        if question.talk:
            parts.append(self._talk(question.talk, say, identification))
        else:
            parts.append(caveat_of(asked, identification, self.retriever.knowledge))
            if found:
                parts.append(say["quote"])
                parts += self._quoted([one.passage for one in chosen(found, asked)], citations)
            else:
                parts.append(self._unknown(asked, language.labels, say))
        for number, part in enumerate(filter(None, parts)):
            yield Piece(f"\n\n{part}" if number else part)
        if citations.sources:
            yield Piece(sources=tuple(citations.sources))

    def _quoted(self, passages: Sequence[Passage], citations: Citations) -> Iterator[str]:
        several = len({passage.species for passage in passages}) > 1
        for passage in passages:
            # Not every fact names its species.
            name = f"{shown(passage.species, self.retriever.knowledge)}: " if several and passage.species else ""
            yield f"{name}{passage.text} {citations.cite(passage.sources)}"

    def _talk(self, talk: str, say: Mapping[str, str], identification: Identification | None) -> str:
        knowledge = self.retriever.knowledge
        if talk == PHOTOGRAPH:
            return _identified(identification, knowledge, say) if identification else say["no_photograph"]
        if talk == "hello" and identification and identification.named:
            return say["hello"].format(about=shown(identification.species, knowledge))
        return say["hello_any" if talk == "hello" else talk]

    def _unknown(self, asked: Asked, labels: Mapping[str, str], say: Mapping[str, str]) -> str:
        species = self.retriever.knowledge.find(asked.about[0]) if asked.about else None
        question = asked.question
        if species and (question.species or question.refers):
            kinds = ", ".join(labels[kind] for kind in NAMED_KINDS)
            return say["unknown_of"].format(
                species=shown(species.scientific_name, self.retriever.knowledge), kinds=kinds
            )
        return say["which"] if question.kinds and not (asked.about or question.general) else say["unknown"]


def chosen(found: Sequence[Found], asked: Asked) -> list[Found]:
    """Returns the passages to quote: the first of an overview, otherwise those that fit nearly as well as the best."""
    best = found[0]
    if not asked.question.asks:
        return list(found[: MAX_PASSAGES if asked.about else 1])
    # What is so of one species is not so of all.
    alike = [one for one in found if (one.passage.species is None) == (best.passage.species is None)]
    return [one for one in alike[:MAX_PASSAGES] if one.score >= best.score - MARGIN]


def shown(species: str, knowledge: Knowledge) -> str:
    """Returns the name of a species or label as a visitor reads it, with the scientific name where it is known."""
    known = knowledge.find(species)
    return f"{known.name} ({known.scientific_name})" if known else label(species)


def percent(probability: float) -> str:
    """Returns a probability as a visitor reads it; none is quite 100%."""
    return "> 99%" if probability > 0.99 else f"{probability:.0%}"


def caveat_of(asked: Asked, identification: Identification | None, knowledge: Knowledge) -> str:
    """Returns what to say before an answer about a photograph that is unsure, or of a species that the base lacks."""
    if not identification or not asked.of_photograph:
        return ""
    say = language_or_english(asked.question.language).say
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
