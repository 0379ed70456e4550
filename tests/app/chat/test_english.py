"""Words of questions: folded, of one meaning, spelt right."""

from __future__ import annotations

import pytest

from butterflyer_jax.app.chat.english import Phrases, Speller, edits, lexicon, words_of


def test_folding_leaves_plain_words() -> None:
    assert words_of("Où vit-ELLE, la Straße?") == ["ou", "vit", "elle", "la", "strasse"]


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("same", "same", 0),
        ("butterfy", "butterfly", 1),
        ("admrial", "admiral", 1),
        ("catterpilar", "caterpillar", 2),
        ("moth", "butterfly", 3),
        ("", "ab", 2),
    ],
)
def test_wrong_letters_are_counted(one: str, other: str, count: int) -> None:
    assert edits(one, other, 2) == edits(other, one, 2) == count


def test_words_are_corrected_where_one_is_close() -> None:
    correct = Speller({"butterfly", "caterpillar", "drink", "lined", "chrysalis", "sleep"}).correct
    assert correct("buterfly") == "butterfly"
    assert correct("catterpilar") == "caterpillar"
    assert correct("crysalis") == "chrysalis"
    # Words of their own, though the speller does not know them.
    assert [correct(word) for word in ("drunk", "lived", "cat", "sheep")] == ["drunk", "lived", "cat", "sheep"]


def test_the_longest_phrase_counts() -> None:
    phrases = Phrases({"plant": ["host plant*"], "host": ["host"], "all": ["plant*"]})
    assert list(phrases.all(["the", "host", "plants", "host"])) == [(1, 2, ["plant"]), (3, 1, ["host"])]


def test_synonyms_are_one_word() -> None:
    content = lexicon().content
    assert content(words_of("What do the larvae feed on?")) == content(words_of("what does the caterpillar eat"))
    assert content(words_of("their lifespan")) == ["long", "live"]
