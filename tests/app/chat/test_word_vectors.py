"""Vectors of words, and questions in words that no typical question has."""

from __future__ import annotations

import numpy as np
import pytest

from butterflyer_jax.app.chat import word_vectors
from butterflyer_jax.app.chat.english import words_of
from tests.helpers.chats import retriever

TABLE = word_vectors.load()


def embed(text: str) -> np.ndarray:
    return TABLE.embed(words_of(text))


def test_a_text_has_a_vector_of_length_one_whatever_the_order_of_its_words() -> None:
    one = embed("do butterflies sleep at night")
    assert one.shape == (TABLE.values.shape[1],)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(one, embed("at night do butterflies sleep"), atol=1e-6)
    assert not embed("xqzzt").any()


@pytest.mark.parametrize(
    ("one", "alike", "other"),
    [
        ("do butterflies sleep", "do butterflies rest at night", "do butterflies migrate"),
        ("can butterflies hear", "do butterflies notice noise", "can butterflies smell"),
        ("how long do butterflies live", "life span of butterflies", "how do butterflies fly"),
        ("what kills butterflies", "enemies of butterflies", "what is a butterfly"),
    ],
)
def test_texts_alike_in_meaning_are_nearer(one: str, alike: str, other: str) -> None:
    assert embed(one) @ embed(alike) > embed(one) @ embed(other)


@pytest.mark.parametrize("text", ["Do butterflies like pizza?", "Is a butterfly faster than a rocket?"])
def test_common_words_are_not_taken_for_misspelt_ones(text: str) -> None:
    assert set(retriever().reader.read(text).words) == set(words_of(text))


def test_the_table_has_nearly_every_word_of_the_typical_questions() -> None:
    questions = retriever().knowledge.questions.values()
    words = {word for texts in questions for text in texts for word in words_of(text)}
    assert len(words - TABLE.places.keys()) <= 0.02 * len(words)
