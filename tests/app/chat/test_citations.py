"""What a model's text passes: in whatever chunks it comes, the result is the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from butterflyer_jax.app.chat.citations import REDACTED, CitationFilter, Citations, Redactor
from butterflyer_jax.app.knowledge.base import Passage, Source

SECRET = "abcabcab"
SOURCES = tuple(Source(f"Page {number}", "Museum", f"https://example.org/{number}") for number in range(3))
PASSAGES = [
    Passage("One", "One.", SOURCES[:2], "topic", None),
    Passage("Two", "Two.", SOURCES[2:], "topic", None),
]


def through(chunks: list[str], stage: CitationFilter | Redactor) -> str:
    return "".join(map(stage.feed, chunks)) + stage.finish()


@given(st.lists(st.text("abc x", max_size=6), max_size=30))
def test_a_secret_never_passes(chunks: list[str]) -> None:
    shown = through(chunks, Redactor(SECRET))
    assert SECRET not in shown
    assert shown == "".join(chunks).replace(SECRET, REDACTED)


def test_without_a_secret_all_passes_at_once() -> None:
    assert Redactor("").feed("abc") == "abc"


@given(st.lists(st.text("[]012,; a", max_size=4), max_size=30))
def test_brackets_are_those_of_sources_whatever_the_chunks(chunks: list[str]) -> None:
    citations, whole = Citations(), Citations()
    shown = through(chunks, CitationFilter(PASSAGES, citations))
    assert shown == through(["".join(chunks)], CitationFilter(PASSAGES, whole))
    assert citations.sources == whole.sources
    rest = shown
    for number in range(1, len(citations.sources) + 1):
        assert f"[{number}]" in shown
        rest = rest.replace(f"[{number}]", "")
    assert "[" not in rest
    assert "]" not in rest


def test_a_passage_with_two_sources_becomes_two_numbers() -> None:
    citations = Citations()
    assert through(["Two [2", "] and one [", "1]."], CitationFilter(PASSAGES, citations)) == "Two [1] and one [2][3]."
    assert citations.sources == [SOURCES[2], SOURCES[0], SOURCES[1]]
