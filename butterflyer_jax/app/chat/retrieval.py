"""Finds the passages of the knowledge base that answer a question, or says that there is none."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from butterflyer_jax.app.chat import languages
from butterflyer_jax.app.chat.conversation import Identification, Message
from butterflyer_jax.app.chat.languages import words_of
from butterflyer_jax.app.chat.questions import Asked, Question, Reader, Term
from butterflyer_jax.app.chat.species_names import stemmer
from butterflyer_jax.app.knowledge.base import Knowledge, Passage

# Share of a question's words, by weight, that a passage has to hold, where the question is surely about butterflies and
# where it need not be; measured on the questions of the tests.
MIN_COVERAGE_AT_HOME = 0.3
MIN_COVERAGE = 0.65
# What these add to a score, to which the words add up to 2 for how many are held and 1 by BM25.
CERTAIN_BONUS = 2.0
SPECIES_BONUS = 1.0
TOPIC_BONUS = 1.0
KIND_BONUS = 0.8
# What stands of a kind in the passages about butterflies at large.
IN_PASSAGES = {
    "host_plants": ("eat", "host", "plant"),
    "wingspan": ("wingspan",),
    "range": ("continent",),
    "habitat": ("habitat",),
    "flight_season": ("season", "year"),
    "life_cycle": ("life", "stage"),
    "identification": ("pattern", "colour"),
    "conservation": ("decline", "threat", "endangered"),
    "look_alikes": ("differ", "alike", "apart"),
    "names": ("name",),
    "family": ("family",),
}
# Of a long message the last clauses are tried by themselves.
MAX_CLAUSES = 6
# Without a kind, what one wants to know of a species first.
OVERVIEW = ("identification", "range", "host_plants", "wingspan", "flight_season")

_CLAUSE_END = re.compile(r"[.,;:!?\n]+")


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
        stem = self._stem = stemmer()
        names = {species.scientific_name: " ".join(species.common_names) for species in knowledge.species}
        stems = [
            stem(words_of(f"{passage.title} {passage.title} {names.get(passage.species or '', '')} {passage.text}"))
            for passage in self._passages
        ]
        self._stems = [frozenset(of_passage) for of_passage in stems]
        self._titles = [frozenset(stem(words_of(passage.title))) for passage in self._passages]
        self._counts: dict[str, int] = {}
        for of_passage in self._stems:
            for word in of_passage:
                self._counts[word] = self._counts.get(word, 0) + 1
        self._index = languages.load("bm25s").BM25()
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
        about = question.species or (() if question.general else tuple(species))
        return self.find(question, about, limit)

    def look_up(
        self, messages: Sequence[Message], identification: Identification | None, limit: int
    ) -> tuple[Asked, list[Found]]:
        """Returns what the last message asks, and the passages that answer it.

        Where the whole message finds nothing, a clause of it may: it may have told a story before it asks.
        """
        earlier = self.reader.read_earlier(messages[:-1])
        whole = self.reader.in_context(messages[-1].text, earlier, identification)
        found = self.find(whole.question, whole.about, limit)
        clauses = [clause for clause in _CLAUSE_END.split(messages[-1].text) if clause.strip()][-MAX_CLAUSES:]
        if found or whole.question.talk or len(clauses) < 2:
            return whole, found
        for clause in reversed(clauses):
            asked = self.reader.in_context(clause, earlier, identification)
            question = asked.question
            stands_alone = question.asks and (question.at_home or question.refers) and not question.talk
            if stands_alone and (found := self.find(question, asked.about, limit)):
                return asked, found
        return whole, []

    def find(self, question: Question, about: Sequence[str], limit: int = 3) -> list[Found]:
        """Returns the passages that answer a question about these species, as `search` does."""
        if not question.terms or (about and not question.asks):
            return self._overview(about, limit)
        if "look_alikes" in question.kinds and len(about) > 1:
            return self._comparison(about, limit)
        terms = question.terms if about else [self._at_large(term) for term in question.terms]
        certain = bool(about) and (bool(question.species) or question.refers)
        words = [stem for term in terms for stem in term.stems if stem in self._counts]
        ranks = self._index.get_scores(words) if words else np.zeros(len(self._passages))
        best = float(ranks.max()) or 1.0
        found = []
        for number, passage in enumerate(self._passages):
            if not self._is_meant(question, about, terms, number):
                continue
            coverage, kind = self._coverage(terms, number), question.kinds.get(passage.kind, 0.0)
            at_home = question.at_home or (question.refers and kind == 1.0)
            if coverage < (MIN_COVERAGE_AT_HOME if at_home else MIN_COVERAGE):
                continue
            score = 2 * coverage + float(ranks[number]) / best + KIND_BONUS * kind
            if passage.species in about:
                score += CERTAIN_BONUS if certain else SPECIES_BONUS
            elif passage.species is None and not certain:
                score += TOPIC_BONUS
            found.append(Found(passage, score))
        return sorted(found, key=lambda one: -one.score)[:limit]

    def _is_meant(self, question: Question, about: Sequence[str], terms: Sequence[Term], number: int) -> bool:
        """Returns whether a passage may answer, if it holds enough of the words."""
        species = self._passages[number].species
        if species in about:
            return True
        if species and about:
            return False
        # What any one species eats is no answer for all, and what all eat none for this one.
        if (species or question.refers or question.species) and not self._holds_a_word(terms, number):
            return False
        # Without a word of butterflies, one that happens to stand in a text is not enough.
        asks_kind = any(strength == 1.0 for strength in question.kinds.values())
        in_title = any(not self._titles[number].isdisjoint(term.stems) for term in terms)
        return in_title or asks_kind or (question.at_home and question.asks)

    def _overview(self, about: Sequence[str], limit: int) -> list[Found]:
        order = {kind: len(OVERVIEW) - place for place, kind in enumerate(OVERVIEW)}
        found = [Found(p, order[p.kind]) for p in self._passages if p.species in about and p.kind in order]
        return sorted(found, key=lambda one: -one.score)[:limit]

    def _comparison(self, about: Sequence[str], limit: int) -> list[Found]:
        of_each = [passage for species in about for passage in self._passages if passage.species == species]
        others = {species: [f"({other})" for other in about if other != species] for species in about}
        pairs = [
            passage
            for passage in of_each
            if passage.kind == "look_alikes" and any(other in passage.title for other in others[passage.species or ""])
        ]
        return [Found(p, 1.0) for p in pairs or [p for p in of_each if p.kind == "identification"]][:limit]

    def _at_large(self, term: Term) -> Term:
        words = [word for kind, strength in term.kinds.items() if strength == 1.0 for word in IN_PASSAGES.get(kind, ())]
        return term if term.stems else replace(term, stems=tuple(self._stem(words)))

    def _weight(self, term: Term) -> float:
        rarity = [math.log(1 + len(self._passages) / self._counts.get(stem, 1)) for stem in term.stems]
        # A word that asks for a kind is in few of the passages that answer it.
        return term.weight * (min(rarity, default=1.0) if not term.kinds else math.log(len(self._passages)) / 2)

    def _holds_a_word(self, terms: Sequence[Term], number: int) -> bool:
        return any(not term.kinds and not self._stems[number].isdisjoint(term.stems) for term in terms)

    def _coverage(self, terms: Sequence[Term], number: int) -> float:
        """Returns the share of the terms, by weight, that a passage holds; 1 where none has any."""
        kind, stems = self._passages[number].kind, self._stems[number]
        weights = [self._weight(term) for term in terms]
        if not sum(weights):
            return 1.0
        held = (
            weight
            for term, weight in zip(terms, weights, strict=True)
            if kind in term.kinds or not stems.isdisjoint(term.stems)
        )
        return sum(held) / sum(weights)
