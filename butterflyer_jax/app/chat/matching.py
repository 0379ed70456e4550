"""Comparison of a question with the typical questions of an entry: by common words, and by meaning."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from butterflyer_jax.app.chat import word_vectors
from butterflyer_jax.app.chat.questions import BUTTERFLY, Question, Reader
from butterflyer_jax.app.chat.word_vectors import WordVectors

# Smallest share of the question's words, by weight, that an entry must have to count by its words.
MIN_COVERAGE = 0.2
# Weight of the question's words in the score by words; the rest is that of the typical question's words.
COVERAGE_SHARE = 0.65
# Weight, besides the nearest typical question, of the share of the question's words in the passage and all its
# typical questions.
HELD_SHARE = 0.4
# Weights of a pair of consecutive words, of a question word, of the word that nearly every question has, and,
# relative to a word of the typical question, of one in the passage or in many of its other typical questions.
PAIR, ASK, HOME, IN_PASSAGE, IN_OTHERS = 0.3, 0.8, 0.15, 0.6, 0.8
# Bonus of a topic whose typical question names the species at hand, and of a question that equals a typical one.
NAMED_BONUS, EXACT_BONUS = 0.38, 0.1
# Weight of the cosine between the vectors of the question and of the nearest typical question.
MEANING = 2.0
# Stems of the stages before the adult.
YOUNG = frozenset({"egg", "caterpillar", "chrysali"})
# Animals for which statements about butterflies may be wrong.
OF_ONE_STAGE = YOUNG | {"moth", "cocoon"}
MAX_QUESTION = 14
Features = dict[str, float]


@dataclass(frozen=True)
class Match:
    """How well an entry matches a question.

    Attributes:
      score: from 0 to about 3.5, of which the cosine makes up to `MEANING`.
      typical: index of the nearest typical question.
    """

    score: float = 0.0
    typical: int = 0


@dataclass(frozen=True)
class Asking:
    """A question, prepared for matching.

    Attributes:
      features: weights of its words, pairs of words and question words.
      meaning: its vectors as a question about butterflies and about a species, float32 [dimensions].
    """

    features: Features
    meaning: tuple[np.ndarray, np.ndarray]


class Matcher:
    """Index of typical questions by entry."""

    def __init__(self, entries: Mapping[str, Sequence[Question]], facts: Set[str], reader: Reader) -> None:
        """Indexes the typical questions.

        Args:
          entries: typical questions by entry.
          facts: the entries about a species.
          reader: interpreter of the questions.
        """
        self._reader = reader
        self._vectors: WordVectors = word_vectors.load()
        self._num_entries = len(entries)
        self._facts = facts
        self._counts = Counter(
            stem for questions in entries.values() for stem in {s for question in questions for s in question.stems}
        )
        self._typical: dict[str, list[tuple[Features, frozenset[str]]]] = {}
        self._meanings: dict[str, np.ndarray] = {}
        for entry, questions in entries.items():
            asked = [self.prepare(question) for question in questions]
            self._typical[entry] = [
                (one.features, frozenset(question.species)) for one, question in zip(asked, questions, strict=True)
            ]
            if questions:
                self._meanings[entry] = np.stack([one.meaning[entry in facts] for one in asked])

    def prepare(self, question: Question) -> Asking:
        """Returns a question in the form that `match` takes."""
        stems = question.stems[:MAX_QUESTION]
        features = {stem: self._weight(stem) for stem in stems}
        for one, other in itertools.pairwise(stems):
            features[f"{one} {other}"] = PAIR * (self._weight(one) + self._weight(other)) / 2
        features |= {f"?{word}": ASK for word in question.ask}
        of_topic = self._vectors.embed((*question.said, *question.names))
        return Asking(features, (of_topic, self._vectors.embed(word_vectors.of_fact(question.said))))

    def match(self, asked: Asking, entry: str, held: Features, about: Set[str]) -> Match:
        """Returns how well an entry matches.

        Args:
          asked: the question.
          entry: the entry.
          held: weights of the stems in its passage, from `weights_held`.
          about: scientific names of the species in question.
        """
        features = asked.features
        total = sum(features.values())
        words = {feature: weight for feature, weight in features.items() if feature[0] != "?" and " " not in feature}
        specific = words.keys() - {BUTTERFLY}
        # Only a fact on prices answers what something costs.
        needed = (features.keys() & self._reader.beyond) | (features.keys() & OF_ONE_STAGE - held.keys())
        meanings = self._meanings[entry] @ asked.meaning[entry in self._facts] if entry in self._meanings else ()
        by_words, by_meaning, place = 0.0, 0.0, 0
        for number, (typical, named) in enumerate(self._typical[entry]):
            # A fact about caterpillars may be wrong for butterflies, and one about a species for another one.
            of_young = BUTTERFLY in features and not (typical.keys() & YOUNG) <= features.keys()
            if of_young or not named <= about or not needed <= typical.keys():
                continue
            if meanings[number] > by_meaning:
                by_meaning, place = float(meanings[number]), number
            if not specific.isdisjoint(typical):
                found = _by_words(features, total, typical, held)
                by_words = max(by_words, found + NAMED_BONUS * bool(found and named))
        if by_words:
            share = sum(weight * held.get(word, 0) for word, weight in words.items()) / sum(words.values())
            by_words += HELD_SHARE * share
        return Match(by_words + MEANING * by_meaning, place)

    def _weight(self, stem: str) -> float:
        if stem == BUTTERFLY:
            return HOME
        return math.log(1 + self._num_entries / (1 + self._counts.get(stem, 0)))


def _by_words(asked: Features, total: float, typical: Features, held: Features) -> float:
    """Returns the share of common words by weight; 0 for hardly any."""
    both = sum(weight for feature, weight in asked.items() if feature in typical)
    more = sum(weight * held.get(feature, 0) for feature, weight in asked.items() if feature not in typical)
    coverage = (both + more) / total
    if coverage < MIN_COVERAGE or not both:
        return 0.0
    share = sum(weight for feature, weight in typical.items() if feature in asked) / sum(typical.values())
    exact = asked.keys() == typical.keys()
    return COVERAGE_SHARE * coverage + (1 - COVERAGE_SHARE) * share + EXACT_BONUS * exact


def weights_held(words: Set[str], questions: Sequence[Question]) -> Features:
    """Returns the weight of each stem in a passage, by its text and the number of typical questions with it."""
    counts = Counter(stem for question in questions for stem in set(question.stems))
    held = {stem: IN_OTHERS * count / (count + 1) for stem, count in counts.items()}
    return held | {stem: max(IN_PASSAGE, held.get(stem, 0)) for stem in words}
