"""Questions that are suggested where it is not certain what a message asks."""

from __future__ import annotations

import functools

import pytest

from butterflyer_jax.app.chat.conversation import Identification
from butterflyer_jax.app.chat.embedded_answerer import EmbeddedAnswerer
from butterflyer_jax.app.chat.english import lexicon
from butterflyer_jax.app.chat.retrieval import Retriever
from butterflyer_jax.app.knowledge import base
from butterflyer_jax.app.knowledge.base import Knowledge, Passage
from tests.helpers.chats import MONARCH, Answer, ask, embedded
from tests.helpers.labelled_questions import UNRELATED, UNRELATED_FOLLOWED

ASKED = {
    "Rain": ("What do butterflies do in the rain?", "Where do butterflies hide from a storm?"),
    "Silk": ("Do caterpillars spin silk?", "What is silk made of?"),
    "Salt": ("Why do butterflies drink from mud?", "Do butterflies need salt?"),
    "Mud": ("Why do butterflies drink from mud?", "What is in the mud of a puddle?"),
    "Sand": ("How do I lay out wet sand for butterflies?", "Do butterflies drink from sand?"),
    "Sap": ("Do butterflies drink sap?", "Which butterflies drink the sap of trees?"),
}


@functools.cache
def answerer() -> EmbeddedAnswerer:
    """Returns an answerer over the shipped facts of species and a few topics, which do not change with the base."""
    shipped = base.load()
    sources = shipped.topics[0].sources
    topics = tuple(Passage(title, f"What is known of {title.lower()}.", sources, "topic", None) for title in ASKED)
    kinds = {kind: shipped.questions[kind] for kind in base.KINDS}
    return EmbeddedAnswerer(Retriever(Knowledge(shipped.species, topics, kinds | ASKED)))


def suggested(answer: Answer) -> list[str]:
    return [text for piece in answer.pieces for text in piece.suggestions]


@pytest.mark.parametrize("identification", [None, MONARCH])
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Will a butterfly drown in heavy rain?", "What do butterflies do in the rain?"),
        ("Which shops spin cheap silk for caterpillars?", ""),
        ("Is it true that butterflies drown in sap they drink?", "Do butterflies drink sap?"),
    ],
)
def test_what_is_not_certain_gets_questions_that_are_answered(
    text: str, meant: str, identification: Identification | None
) -> None:
    answer = ask(answerer(), text, identification=identification)
    chosen = suggested(answer)
    assert not answer.sources
    if not meant:
        # Of prices only a passage on prices has to do.
        assert chosen == []
        return
    assert answer.text.endswith(lexicon().say["unclear"])
    assert meant in chosen and len(chosen) == len(set(chosen)) <= 3
    for one in chosen:
        assert ask(answerer(), one, identification=identification).sources, one


def test_an_answer_that_is_not_clear_has_the_other_passages_beside_it() -> None:
    answer = ask(answerer(), "Why do butterflies drink from mud?", identification=None)
    chosen = suggested(answer)
    assert answer.text.startswith("What is known of mud.") and answer.sources
    assert chosen[0] == "Do butterflies need salt?"
    assert answer.pieces[-2].suggestions and not answer.pieces[-1].suggestions


def test_typical_questions_of_a_species_name_it() -> None:
    chosen = suggested(ask(answerer(), "Does the Monarch have a favourite continent?", identification=None))
    assert chosen and all("he Monarch" in text for text in chosen)
    assert not any(f" {word} " in f" {text} " for text in chosen for word in ("it", "its"))


def test_what_is_clear_needs_none() -> None:
    for text in ("Do butterflies bite?", "How big is it?", "Hello", "co jedzą motyle?", "tell me about butterflies"):
        assert suggested(ask(embedded(), text)) == [], text


@pytest.mark.parametrize("text", UNRELATED + UNRELATED_FOLLOWED)
def test_other_matters_get_none(text: str) -> None:
    if not embedded().retriever.reader.read(text).at_home:
        assert suggested(ask(embedded(), text, identification=None)) == []
