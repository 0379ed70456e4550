"""Finds the passages of the knowledge base that answer a question, or says that there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from butterflyer_jax.app import extra
from butterflyer_jax.app.knowledge import Knowledge, Passage
from butterflyer_jax.app.languages import words_of
from butterflyer_jax.app.questions import Question, Reader, Term
from butterflyer_jax.app.species_names import stemmer

# Share of a question's words, by weight, that a passage has to hold; measured on the questions of the tests.
MIN_COVERAGE = 0.6
# What these add to a score, to which the words add up to 1 each for how many and how rare they are.
SPECIES_BONUS = 2.0
KIND_BONUS = 1.5
TOPIC_BONUS = 0.25
# Without a kind, what one wants to know of a species first.
OVERVIEW = ("identification", "range", "host_plants", "wingspan", "flight_season")


@dataclass(frozen=True)
class Found:
    """A passage and how well it fits; scores compare within one search."""

    passage: Passage
    score: float


class Retriever:
    """Searches a knowledge base by BM25 over stems, by the kinds of facts asked for, and by species."""

    def __init__(self, knowledge: Knowledge) -> None:
        """Indexes the passages.

        Raises:
          UserError: a package of the `app` extra is not installed.
        """
        self.knowledge = knowledge
        self._passages = knowledge.passages
        stem = stemmer()
        names = {species.scientific_name: " ".join(species.common_names) for species in knowledge.species}
        stems = [
            stem(words_of(f"{passage.title} {names.get(passage.species or '', '')} {passage.text}"))
            for passage in self._passages
        ]
        self._stems = [frozenset(of_passage) for of_passage in stems]
        self._counts: dict[str, int] = {}
        for of_passage in self._stems:
            for word in of_passage:
                self._counts[word] = self._counts.get(word, 0) + 1
        self._index = extra.load("bm25s").BM25()
        self._index.index(stems, show_progress=False)
        self.reader = Reader(knowledge, frozenset(self._counts))

    def search(self, text: str, species: Sequence[str] = (), limit: int = 3) -> list[Found]:
        """Returns the passages that answer a text, the best first; none where nothing in the base does.

        Args:
          text: a question in one of the languages of the chat.
          species: scientific names of what it is about, unless it names a species or speaks of butterflies at large.
          limit: the most passages.
        """
        question = self.reader.read(text)
        about = question.species or (() if question.general and not question.refers else tuple(species))
        return self.find(question, about, limit)

    def find(self, question: Question, about: Sequence[str], limit: int = 3) -> list[Found]:
        """Returns the passages that answer a question about these species, as `search` does."""
        if not question.terms and not question.kinds:
            return self._overview(about, limit)
        if "look_alikes" in question.kinds and len(about) > 1:
            return self._comparison(about, limit)
        words = self._words_of(question.terms)
        ranks = self._index.get_scores(words) if words else np.zeros(len(self._passages))
        best = float(ranks.max()) or 1.0
        found = []
        for number, passage in enumerate(self._passages):
            # At large, the host plants of any one species do not answer what caterpillars eat.
            if passage.species not in (None, *about) and (about or not self._holds_a_word(question.terms, number)):
                continue
            coverage = self._coverage(question.terms, number)
            if coverage < MIN_COVERAGE:
                continue
            score = coverage + float(ranks[number]) / best + KIND_BONUS * question.kinds.get(passage.kind, 0.0)
            score += SPECIES_BONUS if passage.species in about else TOPIC_BONUS if passage.species is None else 0.0
            found.append(Found(passage, score))
        return sorted(found, key=lambda one: -one.score)[:limit]

    def _overview(self, about: Sequence[str], limit: int) -> list[Found]:
        order = {kind: len(OVERVIEW) - place for place, kind in enumerate(OVERVIEW)}
        found = [Found(p, order[p.kind]) for p in self._passages if p.species in about and p.kind in order]
        return sorted(found, key=lambda one: -one.score)[:limit]

    def _comparison(self, about: Sequence[str], limit: int) -> list[Found]:
        of_each = [passage for passage in self._passages if passage.species in about]
        others = {species: [f"({other})" for other in about if other != species] for species in about}
        pairs = [
            passage
            for passage in of_each
            if passage.kind == "look_alikes" and any(other in passage.title for other in others[passage.species or ""])
        ]
        return [Found(p, 1.0) for p in pairs or [p for p in of_each if p.kind == "identification"]][:limit]

    def _words_of(self, terms: Sequence[Term]) -> list[str]:
        return [stem for term in terms for stem in term.stems if stem in self._counts]

    def _weight(self, term: Term) -> float:
        rarity = [math.log(1 + len(self._passages) / self._counts.get(stem, 1)) for stem in term.stems]
        # A word that asks for a kind is in few of the passages that answer it.
        return term.weight * (min(rarity, default=1.0) if not term.kinds else math.log(len(self._passages)) / 2)

    def _holds_a_word(self, terms: Sequence[Term], number: int) -> bool:
        return any(not term.kinds and not self._stems[number].isdisjoint(term.stems) for term in terms)

    def _coverage(self, terms: Sequence[Term], number: int) -> float:
        """Returns the share of the terms, by weight, that a passage holds; 1 without terms."""
        kind, stems = self._passages[number].kind, self._stems[number]
        weights = [self._weight(term) for term in terms]
        held = (
            weight
            for term, weight in zip(terms, weights, strict=True)
            if kind in term.kinds or not stems.isdisjoint(term.stems)
        )
        return sum(held) / sum(weights) if terms else 1.0
