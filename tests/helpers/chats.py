"""Short ways to talk with an answerer about the shipped knowledge base."""

from __future__ import annotations

import functools
from typing import NamedTuple

from butterflyer_jax.app.chat.conversation import Answerer, Identification, Message, Piece
from butterflyer_jax.app.chat.embedded_answerer import EmbeddedAnswerer
from butterflyer_jax.app.chat.retrieval import Retriever
from butterflyer_jax.app.knowledge import base
from butterflyer_jax.app.knowledge.base import Source

MONARCH = Identification("Monarch", 0.97, True, (("Monarch", 0.97), ("Red Admiral", 0.02)))


class Answer(NamedTuple):
    """What an answerer said."""

    text: str
    sources: tuple[Source, ...]
    pieces: list[Piece]


@functools.cache
def retriever() -> Retriever:
    """Returns a retriever over the shipped base."""
    return Retriever(base.load())


@functools.cache
def embedded() -> EmbeddedAnswerer:
    """Returns the answerer over the shipped base."""
    return EmbeddedAnswerer(retriever())


def fact(species: str, kind: str) -> str:
    """Returns the text of a fact of the shipped base, or of its first look-alike."""
    found = retriever().knowledge.find(species)
    assert found
    return found.look_alikes[0].text if kind == "look_alikes" else found.facts[kind].text


def reply(answerer: Answerer, messages: list[Message], identification: Identification | None = MONARCH) -> Answer:
    """Returns the whole answer to the last message; checks that sources come once, at the end."""
    pieces = list(answerer.answer(messages, identification))
    assert not any(piece.sources for piece in pieces[:-1])
    return Answer("".join(piece.text for piece in pieces), pieces[-1].sources, pieces)


def ask(answerer: Answerer, *said: str, identification: Identification | None = MONARCH) -> Answer:
    """Says one thing after the other; returns the answer to the last."""
    messages: list[Message] = []
    for text in said:
        messages.append(Message("user", text))
        answer = reply(answerer, messages, identification)
        messages.append(Message("assistant", answer.text))
    return answer


def quotes(answer: str, species: str, kind: str) -> bool:
    """Returns whether an answer has a sentence of a fact of the shipped base, or of its first look-alike."""
    return any(sentence in answer for sentence in fact(species, kind).split(". "))
