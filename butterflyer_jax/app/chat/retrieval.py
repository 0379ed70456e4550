"""Retrieval of the passages that answer a question, by the typical questions of each passage."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from butterflyer_jax.app.chat.conversation import Identification, Message
from butterflyer_jax.app.chat.english import words_of
from butterflyer_jax.app.chat.questions import BUTTERFLY, Asked, Question, Reader
from butterflyer_jax.app.knowledge.base import Knowledge, Passage

# Smallest scores of a fact of the species at hand and of a topic, and smallest share of the question's
# words by weight; tuned on the questions of the tests.
MIN_SCORE, MIN_SCORE_TOPIC = 0.75, 0.85
MIN_COVERAGE = 0.5
# Smallest sum of the score of a topic that comes first and of its lead over the next passage, and largest lead that
# counts; tuned on odd questions and on typical questions that were left out one by one.
MIN_WITH_LEAD, MAX_LEAD = 1.15, 0.3
# Smallest share of the question's words in a passage that may be suggested.
MIN_COVERAGE_NEAR = 0.2
# Weight of the question's words in the score; the rest is that of the typical question's words.
COVERAGE_SHARE = 0.65
# Weight, besides the nearest typical question, of the share of the question's words in the passage and all its
# typical questions.
HELD_SHARE = 0.4
# Weights of a pair of consecutive words, of a question word, of the word that nearly every question has, and,
# relative to a word of the typical question, of one in the passage or in many of its other typical questions.
PAIR, ASK, HOME, IN_PASSAGE, IN_OTHERS = 0.3, 0.8, 0.15, 0.6, 0.8
# Smallest score of a question without words about butterflies: it must nearly equal a typical one.
MIN_SCORE_ELSEWHERE = 1.05
# Bonus of facts of the species at hand, where the question refers to it, and where it only may.
CERTAIN_BONUS, SPECIES_BONUS = 0.4, 0.12
# Bonus of a topic whose typical question names the species at hand, and of a question that equals a typical one.
NAMED_BONUS, EXACT_BONUS = 0.38, 0.1
# Kinds of facts that differ between species.
MIXED = "life_cycle"
# Stems of the stages before the adult; facts of these kinds are about adults, unless they contain one of them.
YOUNG, OF_ADULTS = frozenset({"egg", "caterpillar", "chrysali"}), ("wingspan", "identification")
# Animals for which statements about butterflies may be wrong.
OF_ONE_STAGE = YOUNG | {"moth", "cocoon"}
# Penalty of such a fact without any word of the question.
NOT_HELD = 0.6
# Bonus of a look-alike that the question names.
LOOK_ALIKE_BONUS = 1.1
# Number of last clauses of a long message that are tried by themselves.
MAX_CLAUSES = 6
MAX_QUESTION = 14
# Kinds of facts about a species, and topic about butterflies, that answer a message without a question.
OVERVIEW = ("identification", "range", "host_plants", "wingspan", "flight_season")
IN_GENERAL = "Butterflies in a few words"

_DURATION = re.compile(r"\b(days|weeks|months|years|an? (day|week|month))\b")
_CLAUSE_END = re.compile(r"[.,;:!?\n]+")
Features = dict[str, float]


@dataclass(frozen=True)
class Found:
    """A passage and its score.

    Attributes:
      passage: the passage.
      score: from 0 to about 1.
      typical: index of the nearest of its typical questions.
      enough: whether the score suffices for an answer.
    """

    passage: Passage
    score: float
    typical: int = 0
    enough: bool = True


class Retriever:
    """Index of typical questions, compared by weighted words and pairs of words."""

    def __init__(self, knowledge: Knowledge) -> None:
        """Indexes the typical questions."""
        self.knowledge = knowledge
        passages = knowledge.passages
        typical = [knowledge.questions_of(passage) for passage in passages]
        texts = [text for passage in passages for text in (passage.title, passage.text)]
        vocabulary = {word for text in (*texts, *(q for qs in typical for q in qs)) for word in words_of(text)}
        self.reader = Reader(knowledge, vocabulary)
        self._passages = passages
        self._words = [frozenset(self.reader.stems_of(f"{passage.title} {passage.text}")) for passage in passages]
        self._look_alikes = {
            number: frozenset(self.reader.stems_of(passage.title.partition("Look-alike ")[2].partition(" (")[0]))
            for number, passage in enumerate(passages)
            if passage.kind == "look_alikes"
        }
        entries: dict[str, list[Question]] = {}
        for passage, questions in zip(passages, typical, strict=True):
            if _entry(passage) not in entries:
                entries[_entry(passage)] = [self.reader.read(question) for question in questions]
        counts = Counter(
            stem for questions in entries.values() for stem in {s for question in questions for s in question.stems}
        )
        self._held = [
            _held(words, Counter(stem for question in entries[_entry(passage)] for stem in set(question.stems)))
            for passage, words in zip(passages, self._words, strict=True)
        ]
        self._num_entries = len(entries)
        self._counts = counts
        self._typical = {
            entry: [(self._features(question), frozenset(question.species)) for question in questions]
            for entry, questions in entries.items()
        }
        self._elsewhere = {
            entry: [frozenset(one.stems) for one in questions if not (one.at_home or one.general)]
            for entry, questions in entries.items()
        }

    def search(self, text: str, species: Sequence[str] = (), limit: int = 3) -> list[Found]:
        """Returns the passages that answer a text, best first; none where no passage does.

        Args:
          text: text of the question.
          species: scientific names of its species, unless it names another or is about butterflies in general.
          limit: largest number of passages.
        """
        question = self.reader.read(text)
        about = question.species or (() if question.general else tuple(species))
        return self.find(question, about, limit)

    def look_up(
        self, messages: Sequence[Message], identification: Identification | None, limit: int
    ) -> tuple[Asked, list[Found]]:
        """Returns the interpretation of the last message, and the passages that answer it.

        If the whole message finds nothing, its last clauses are tried: people describe what they saw before they ask.
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
            about_butterflies = question.species or question.general or question.refers or BUTTERFLY in question.stems
            stands_alone = question.asks and question.ask and about_butterflies and not question.talk
            if stands_alone and (found := self.find(question, asked.about, limit)):
                return asked, found
        return whole, []

    def find(self, question: Question, about: Sequence[str], limit: int = 3) -> list[Found]:
        """Returns the passages that answer a question about these species, as `search` does."""
        if question.foreign:
            return []
        if about and question.refers and not question.general and not any(map(self.knowledge.find, about)):
            # A species that the knowledge base lacks: facts of other species may be wrong for it.
            return []
        if not question.asks:
            return self._overview(about, question.general, limit)
        if len(about) > 1 and ("differ" in question.stems or "from" in question.words):
            return self._comparison(about, limit)
        near = self.nearest(question, about)
        return [found for found in near if found.enough][:limit] if _leads(near) else []

    def nearest(self, question: Question, about: Sequence[str]) -> list[Found]:
        """Returns the passages related to a question, the best first; they may not answer it."""
        asked = self._features(question)
        total = sum(asked.values())
        certain = bool(question.species) or (question.refers and not question.general)
        bonus = CERTAIN_BONUS if certain else SPECIES_BONUS
        at_home = question.at_home or question.general or bool(about and certain)
        names = names_of(self.knowledge, about)
        found = []
        for number, passage in enumerate(self._passages):
            of_species = passage.species is not None
            if not total or (of_species and passage.species not in about):
                continue
            score, coverage, typical = self._score(asked, total, _entry(passage), self._held[number], about)
            if not of_species and not at_home and not self._asked_anywhere(passage, question):
                continue
            name = self._look_alikes.get(number)
            young = passage.kind in OF_ADULTS and not YOUNG.isdisjoint(set(question.stems) - self._words[number])
            if of_species and (young or (passage.kind == MIXED and not self._holds(number, question))):
                score -= NOT_HELD
            elif not of_species and any(name in passage.text for name in names):
                # The passage is about the species in question.
                score += SPECIES_BONUS
            named = name is not None and name <= set(question.stems)
            score += LOOK_ALIKE_BONUS * named
            least = (MIN_SCORE if of_species else MIN_SCORE_TOPIC) if at_home else MIN_SCORE_ELSEWHERE
            if score > 0:
                enough = score >= least and (named or coverage >= MIN_COVERAGE)
                found.append(Found(passage, score + bonus * of_species, typical, enough))
        return sorted(found, key=lambda one: -one.score)

    def _asked_anywhere(self, passage: Passage, question: Question) -> bool:
        """Returns whether a typical question, as "What makes holes in my cabbage?", names no butterfly either."""
        return any(stems <= set(question.stems) for stems in self._elsewhere[_entry(passage)])

    def _holds(self, number: int, question: Question) -> bool:
        """Returns whether a passage contains words of the question, and a duration if the question asks for one."""
        if "long" not in question.stems:
            return not self._words[number].isdisjoint(question.stems)
        sentences = re.split(r"[.;]", self._passages[number].text)
        timed = [set(self.reader.stems_of(sentence)) for sentence in sentences if _DURATION.search(sentence)]
        return any(not stems.isdisjoint(question.stems) for stems in timed)

    def needs_species(self, question: Question) -> bool:
        """Returns whether a question could be answered for a named species."""
        asked = self._features(question)
        total = sum(asked.values())
        kinds = {_entry(passage) for passage in self._passages if passage.species is not None}
        scores = [self._score(asked, total, kind, {}, ()) for kind in kinds]
        return bool(total) and any(one >= MIN_SCORE and held >= MIN_COVERAGE for one, held, _ in scores)

    def _score(
        self, asked: Features, total: float, entry: str, held: Features, about: Sequence[str]
    ) -> tuple[float, float, int]:
        """Returns the score of the nearest typical question and of the passage's words.

        Returns:
          the score, the share of the question's words in both, and the index of that typical question.
        """
        best, held_most, place = 0.0, 0.0, 0
        beyond = asked.keys() & self.reader.beyond
        stages = asked.keys() & OF_ONE_STAGE - held.keys()
        meant = set(about)
        words = {feature: weight for feature, weight in asked.items() if feature[0] != "?" and " " not in feature}
        specific = words.keys() - {BUTTERFLY}
        for number, (typical, named) in enumerate(self._typical[entry]):
            if specific.isdisjoint(typical) or not named <= meant:
                # The entry is about one species, and the question is about another one or none.
                continue
            # A fact about caterpillars may be wrong for butterflies, and only a fact on prices answers what something
            # costs.
            of_young = BUTTERFLY in asked and not (typical.keys() & YOUNG) <= asked.keys()
            if of_young or not beyond | stages <= typical.keys():
                continue
            both = sum(weight for feature, weight in asked.items() if feature in typical)
            more = sum(weight * held.get(feature, 0) for feature, weight in asked.items() if feature not in typical)
            coverage = (both + more) / total
            if coverage >= MIN_COVERAGE_NEAR and both:
                share = sum(weight for feature, weight in typical.items() if feature in asked) / sum(typical.values())
                score = COVERAGE_SHARE * coverage + (1 - COVERAGE_SHARE) * share + NAMED_BONUS * bool(named)
                score += EXACT_BONUS * (asked.keys() == typical.keys())
                # A typical question with enough of the question's words comes before one without.
                if (coverage >= MIN_COVERAGE, score) > (held_most >= MIN_COVERAGE, best):
                    best, held_most, place = score, coverage, number
        share = sum(weight * held.get(word, 0) for word, weight in words.items()) / sum(words.values()) if words else 0
        return (best + HELD_SHARE * share if best else 0.0), held_most, place

    def _features(self, question: Question) -> Features:
        """Returns the weights of a question's words, pairs of words and question words."""
        stems = question.stems[:MAX_QUESTION]
        found = {stem: self._weight(stem) for stem in stems}
        for one, other in itertools.pairwise(stems):
            found[f"{one} {other}"] = PAIR * (self._weight(one) + self._weight(other)) / 2
        return found | {f"?{word}": ASK for word in question.ask}

    def _weight(self, stem: str) -> float:
        if stem == BUTTERFLY:
            return HOME
        return math.log(1 + self._num_entries / (1 + self._counts.get(stem, 0)))

    def _overview(self, about: Sequence[str], general: bool, limit: int) -> list[Found]:
        if general:
            return [Found(passage, 1.0) for passage in self._passages if passage.title == IN_GENERAL]
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


def _leads(near: Sequence[Found]) -> bool:
    """Returns whether the first passage is of a species, or scores high or much higher than the next."""
    if not near or near[0].passage.species is not None:
        return bool(near)
    lead = near[0].score - near[1].score if len(near) > 1 else MAX_LEAD
    return near[0].score + min(lead, MAX_LEAD) >= MIN_WITH_LEAD


def _entry(passage: Passage) -> str:
    """Returns the key of a passage's typical questions."""
    return passage.title if passage.species is None else passage.kind


def _held(words: frozenset[str], counts: Counter[str]) -> Features:
    """Returns the weight of each stem in a passage, by its text and the number of typical questions with it."""
    held = {stem: IN_OTHERS * count / (count + 1) for stem, count in counts.items()}
    return held | {stem: max(IN_PASSAGE, held.get(stem, 0)) for stem in words}


def names_of(knowledge: Knowledge, species: Iterable[str]) -> list[str]:
    """Returns prefixes of the species' names: "Painted Lad" for "Painted Lady" and "Painted Ladies"."""
    return [known.name.removesuffix("y") for one in species if (known := knowledge.find(one))]


def passages_of(knowledge: Knowledge, species: Iterable[str]) -> list[Passage]:
    """Returns every passage about these species."""
    wanted = set(species)
    return [passage for passage in knowledge.passages if passage.species in wanted]
