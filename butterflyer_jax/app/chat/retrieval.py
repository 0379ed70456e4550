"""Retrieval of the passages that answer a question, by the typical questions of each passage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from butterflyer_jax.app.chat import word_vectors
from butterflyer_jax.app.chat.conversation import Identification, Message
from butterflyer_jax.app.chat.english import words_of
from butterflyer_jax.app.chat.matching import YOUNG, Matcher, weights_held
from butterflyer_jax.app.chat.questions import BUTTERFLY, Asked, Question, Reader
from butterflyer_jax.app.knowledge.base import Knowledge, Passage

# Smallest score, without bonus, of a passage that answers, and of a topic that comes first with a share of its lead
# over the next one; tuned on questions of the public and on questions about butterflies that the base cannot answer.
MIN_SCORE, MIN_WITH_LEAD = 2.2, 2.6
LEAD_SHARE, MAX_LEAD = 0.5, 0.6
# Smallest score of a question without words about butterflies: it must nearly equal a typical one.
MIN_SCORE_ELSEWHERE = 2.9
# Bonus of facts of the species at hand, where the question refers to it, and where it only may.
CERTAIN_BONUS, SPECIES_BONUS = 0.4, 0.12
# Kinds of facts that differ between species.
MIXED = "life_cycle"
# Facts of these kinds are about adults, unless they contain the stem of an earlier stage.
OF_ADULTS = ("wingspan", "identification")
# Penalty of such a fact without any word of the question.
NOT_HELD = 1.2
# Bonus of a look-alike that the question names.
LOOK_ALIKE_BONUS = 2.0
# Number of last clauses of a long message that are tried by themselves.
MAX_CLAUSES = 6
# Kinds of facts about a species, and topic about butterflies, that answer a message without a question.
OVERVIEW = ("identification", "range", "host_plants", "wingspan", "flight_season")
IN_GENERAL = "Butterflies in a few words"

_DURATION = re.compile(r"\b(days|weeks|months|years|an? (day|week|month))\b")
_CLAUSE_END = re.compile(r"[.,;:!?\n]+")


@dataclass(frozen=True)
class Found:
    """A passage and its score.

    Attributes:
      passage: the passage.
      score: from 0 to about 4.
      typical: index of the nearest of its typical questions.
      enough: whether the score suffices for an answer.
    """

    passage: Passage
    score: float
    typical: int = 0
    enough: bool = True


class Retriever:
    """Index of passages by their typical questions, compared by words and by meaning."""

    def __init__(self, knowledge: Knowledge) -> None:
        """Indexes the typical questions."""
        self.knowledge = knowledge
        passages = knowledge.passages
        typical = [knowledge.questions_of(passage) for passage in passages]
        texts = [text for passage in passages for text in (passage.title, passage.text)]
        vocabulary = {word for text in (*texts, *(q for qs in typical for q in qs)) for word in words_of(text)}
        self.reader = Reader(knowledge, vocabulary, word_vectors.load().places.keys())
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
        facts = {passage.kind for passage in passages if passage.species is not None}
        self._matcher = Matcher(entries, facts, self.reader)
        self._held = [
            weights_held(words, entries[_entry(passage)]) for passage, words in zip(passages, self._words, strict=True)
        ]
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
        asked = self._matcher.prepare(question)
        certain = bool(question.species) or (question.refers and not question.general)
        bonus = CERTAIN_BONUS if certain else SPECIES_BONUS
        at_home = question.at_home or question.general or bool(about and certain)
        names = names_of(self.knowledge, about)
        species = frozenset(about)
        found = []
        for number, passage in enumerate(self._passages):
            of_species = passage.species is not None
            if not asked.features or (of_species and passage.species not in species):
                continue
            if not of_species and not at_home and not self._asked_anywhere(passage, question):
                continue
            match = self._matcher.match(asked, _entry(passage), self._held[number], species)
            score = match.score
            name = self._look_alikes.get(number)
            young = passage.kind in OF_ADULTS and not YOUNG.isdisjoint(set(question.stems) - self._words[number])
            if of_species and (young or (passage.kind == MIXED and not self._holds(number, question))):
                score -= NOT_HELD
            elif not of_species and any(name in passage.text for name in names):
                # The passage is about the species in question.
                score += SPECIES_BONUS
            score += LOOK_ALIKE_BONUS * (name is not None and name <= set(question.stems))
            least = MIN_SCORE if at_home else MIN_SCORE_ELSEWHERE
            if score > 0:
                found.append(Found(passage, score + bonus * of_species, match.typical, score >= least))
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
        asked = self._matcher.prepare(question)
        kinds = {_entry(passage) for passage in self._passages if passage.species is not None}
        return any(self._matcher.match(asked, kind, {}, frozenset()).score >= MIN_SCORE for kind in kinds)

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
    return near[0].score + LEAD_SHARE * min(lead, MAX_LEAD) >= MIN_WITH_LEAD


def _entry(passage: Passage) -> str:
    """Returns the key of a passage's typical questions."""
    return passage.title if passage.species is None else passage.kind


def names_of(knowledge: Knowledge, species: Iterable[str]) -> list[str]:
    """Returns prefixes of the species' names: "Painted Lad" for "Painted Lady" and "Painted Ladies"."""
    return [known.name.removesuffix("y") for one in species if (known := knowledge.find(one))]


def passages_of(knowledge: Knowledge, species: Iterable[str]) -> list[Passage]:
    """Returns every passage about these species."""
    wanted = set(species)
    return [passage for passage in knowledge.passages if passage.species in wanted]
