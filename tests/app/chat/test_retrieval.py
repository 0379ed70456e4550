"""How often retrieval finds the passage that answers, and how often one where there is none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from butterflyer_jax.app.chat.retrieval import Retriever
from butterflyer_jax.app.knowledge.base import Passage
from tests.helpers.chats import retriever
from tests.helpers.labelled_questions import FOLLOWED, MONARCH, TUNED, UNRELATED, UNRELATED_FOLLOWED, Labelled


def answers(passage: Passage, labelled: Labelled) -> bool:
    if isinstance(labelled.answer, str):
        return passage.title == labelled.answer
    return (passage.species, passage.kind) == labelled.answer


def recall(questions: Sequence[Labelled], rank: int) -> float:
    """Returns the share of questions whose answer is among the first `rank` passages."""
    hits = 0
    for labelled in questions:
        found = retriever().search(labelled.text, [labelled.photo], rank)
        hits += any(answers(one.passage, labelled) for one in found)
    return hits / len(questions)


def false_answers(questions: Sequence[str]) -> float:
    """Returns the share of questions, with and without a photo, that find something though nothing answers."""
    asked = [(text, about) for text in questions for about in ((), (MONARCH,))]
    talk = {text for text in questions if retriever().reader.read(text).talk}
    found = [text for text, about in asked if text not in talk and retriever().search(text, about)]
    return len(found) / len(asked)


def test_the_answer_is_found() -> None:
    assert recall(TUNED, 1) >= 0.9
    assert recall(TUNED, 3) >= 0.95


def test_the_answer_is_found_to_other_questions() -> None:
    assert recall(FOLLOWED, 1) >= 0.65
    assert recall(FOLLOWED, 3) >= 0.8


def test_nothing_is_found_where_nothing_answers() -> None:
    assert false_answers(UNRELATED) <= 0.03
    assert false_answers(UNRELATED_FOLLOWED) <= 0.03


@pytest.mark.parametrize(
    ("text", "species"),
    [
        ("What do monarchs eat?", "Danaus plexippus"),
        ("host plants of D. plexippus", "Danaus plexippus"),
        ("what does plexippus eat", "Danaus plexippus"),
        ("what does a PAINTED  LADY eat", "Vanessa cardui"),
        ("what do painted ladies eat", "Vanessa cardui"),
        ("what does the mourning-cloak eat", "Nymphalis antiopa"),
        ("what does the Camberwell Beauty eat", "Nymphalis antiopa"),
        ("what does the red admirel eat", "Vanessa atalanta"),
        ("what does the buckeey eat", "Junonia coenia"),
    ],
)
def test_a_named_species_counts_more_than_the_photo(text: str, species: str) -> None:
    best = retriever().search(text, ["Heliconius erato"], 1)[0].passage
    assert (best.species, best.kind) == (species, "host_plants")


def test_butterflies_at_large_are_not_the_photo() -> None:
    assert retriever().search("What do caterpillars eat?", [MONARCH], 1)[0].passage.title == "Host plants"
    assert retriever().search("What does the caterpillar eat?", [MONARCH], 1)[0].passage.species == MONARCH


def test_the_best_comes_first_and_no_more_than_the_limit() -> None:
    found = retriever().search("tell me about this butterfly", [MONARCH], 4)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len(found) == 4
    assert {one.passage.species for one in found} == {MONARCH}


def test_the_same_question_finds_the_same() -> None:
    again = Retriever(retriever().knowledge)
    for labelled in TUNED:
        assert again.search(labelled.text, [MONARCH]) == retriever().search(labelled.text, [MONARCH])


def test_every_typical_question_asks_something() -> None:
    questions = retriever().knowledge.questions
    assert [text for asked in questions.values() for text in asked if not retriever().reader.read(text).asks] == []
    assert min(map(len, questions.values())) >= 5


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("How many muscles does a caterpillar have?", "Eyes, muscles and skin of caterpillars"),
        ("How big is a monarch caterpillar?", "Size of caterpillars"),
        ("how do I stop cabbage white caterpillars eating my kale", "Caterpillars on vegetables"),
        ("how come there are so many white butterflies this year", "Good and bad years"),
        ("what does a peacock caterpillar eat", "Caterpillar plants of other butterflies"),
    ],
)
def test_topics_of_gardeners_and_children(text: str, title: str) -> None:
    assert retriever().search(text, (), 1)[0].passage.title == title


@pytest.mark.parametrize(
    "text",
    [
        # What is so of caterpillars is not said of butterflies.
        "How many muscles does a butterfly have?",
        "What is the price of milkweed seeds?",
        "Where can I buy a butterfly net?",
        "How do I draw a butterfly?",
    ],
)
def test_half_a_match_is_no_answer(text: str) -> None:
    assert retriever().search(text) == []
