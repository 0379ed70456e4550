"""Questions to choose from where it is not certain what a message asks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from butterflyer_jax.app.chat.questions import Asked
from butterflyer_jax.app.chat.retrieval import Found, Retriever

MAX_SUGGESTIONS = 3
# Smallest score of a passage that is suggested, scores of a topic and of a species' fact from which an answer stands
# alone, and smallest lead over the next passage for that.
MIN_SCORE, CLEAR_SCORE, CLEAR_SCORE_SPECIES, CLEAR_LEAD = 1.5, 2.9, 3.1, 0.15
# Number of typical questions of a passage that are tried after the nearest.
MAX_TRIED = 4

_IT = re.compile(r"\b([Ii])t(s?)\b")
# Words for the species in a typical question that a name in the singular cannot replace.
_MANY = re.compile(r"\b(they|them|their|these|those|ones?)\b", re.IGNORECASE)


class Suggester:
    """Suggests typical questions of the passages that are nearest to a question."""

    def __init__(self, retriever: Retriever) -> None:
        """Takes the retriever of passages."""
        self._retriever = retriever

    def suggest(self, asked: Asked, found: Sequence[Found]) -> tuple[str, ...]:
        """Returns up to three questions that the base answers, beside what answers already.

        Args:
          asked: what is asked.
          found: the passages that answer it; none where nothing does.
        """
        question = asked.question
        of_butterflies = question.at_home or question.general or (question.refers and asked.about)
        if question.foreign or not question.asks or not of_butterflies or (found and _clear(found)):
            return ()
        given = found[0].passage if found else None
        chosen: list[str] = []
        for near in self._retriever.nearest(question, asked.about):
            if near.score < MIN_SCORE or len(chosen) == MAX_SUGGESTIONS:
                break
            if near.passage == given:
                continue
            text = self._asking_for(near)
            if text and text not in chosen:
                chosen.append(text)
        return tuple(chosen)

    def _asking_for(self, near: Found) -> str:
        """Returns the typical question, the nearest if it can be, that finds a passage by itself; "" without one."""
        knowledge = self._retriever.knowledge
        typical = knowledge.questions_of(near.passage)
        species = knowledge.find(near.passage.species) if near.passage.species else None
        for text in dict.fromkeys((typical[near.typical], *typical[:MAX_TRIED])):
            if species and (_MANY.search(text) or not _IT.search(text)):
                continue
            asked = _named(text, species.name) if species else text
            if [one.passage for one in self._retriever.search(asked, limit=1)] == [near.passage]:
                return asked
        return ""


def _named(text: str, name: str) -> str:
    """Returns a typical question of a species with its name: "Where does the Monarch live?"."""
    return _IT.sub(lambda it: ("The " if it[1] == "I" else "the ") + name + ("'s" if it[2] else ""), text)


def _clear(found: Sequence[Found]) -> bool:
    """Returns whether the best passage is sure to answer."""
    first, *others = found
    least = CLEAR_SCORE if first.passage.species is None else CLEAR_SCORE_SPECIES
    return first.score >= least and all(first.score - other.score >= CLEAR_LEAD for other in others)
