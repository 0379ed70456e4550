"""Ranks above the species: probabilities summed over taxa, and the lowest rank that is sure enough for an answer.

The thresholds are chosen on validation images and kept in `ranks.json` of the run folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from butterflyer_jax.metrics.classification import wilson

FILE = "ranks.json"
SPECIES = "species"
# Calibrated: of names given with less, one in five or more is wrong, however many others are right.
MIN_PROBABILITY = 0.8
# Standard errors by which few images count against an answer (precision of all), or for it (of its rank alone).
ERRORS = 1.0


@dataclass(frozen=True)
class Rank:
    """A rank of the taxonomy.

    Attributes:
      name: species, genus, family and so on.
      taxa: taxon of each species of the run, in the order of the labels; empty where it is not known.
      threshold: probability of a taxon from which it is the answer; None where no probability is precise enough.
    """

    name: str
    taxa: tuple[str, ...]
    threshold: float | None = None


@dataclass(frozen=True)
class Answer:
    """The answer for one image.

    Attributes:
      rank: name of the lowest rank that is sure enough; empty where none is.
      taxon: name of the taxon, that of the species at the lowest rank; empty where no rank is sure enough.
      probability: probability of the taxon, the sum over its species; 0 where there is none.
      species: most probable species of the taxon; of all where no rank is sure enough.
    """

    rank: str
    taxon: str
    probability: float
    species: str


@dataclass(frozen=True)
class Ranks:
    """The ranks of a run, the species first, then ever larger taxa.

    Attributes:
      ranks: at least the species and one rank above it.
      precision: share of right answers that the thresholds were chosen for.
      count: number of validation images that they were chosen on.
      step: training step of the checkpoint.
    """

    ranks: tuple[Rank, ...]
    precision: float
    count: int
    step: int

    def answer(
        self,
        probabilities: Float[np.ndarray, "count num_classes"],
        refused: Bool[np.ndarray, " count"],
        listed: Bool[np.ndarray, " num_classes"] | None = None,
    ) -> list[Answer]:
        """Returns the answer at the lowest rank whose most probable taxon reaches the threshold of the rank.

        A taxon with one species is no answer, as the species is one; nor is a taxon with all species.

        Args:
          probabilities: float [count, num_species], calibrated.
          refused: bool [count], images that are none of the species and get no name.
          listed: bool [num_species], species that can occur; None for all of them.
        """
        species = np.array(self.ranks[0].taxa)
        answers = [Answer("", "", 0.0, str(name)) for name in species[probabilities.argmax(axis=1)]]
        for rank in self.ranks:
            if rank.threshold is None:
                continue
            sums, first = _most_probable(rank, probabilities)
            taxa, speaking = _taxa(rank), _speaking(rank, listed)
            for image in np.flatnonzero((sums >= rank.threshold) & speaking[first] & ~refused):
                if not answers[image].rank:
                    taxon = taxa[first[image]]
                    own = np.array([one == taxon for one in rank.taxa])
                    name = species[np.where(own, probabilities[image], -1).argmax()]
                    answers[image] = Answer(rank.name, taxon, float(sums[image]), str(name))
        return answers

    def to_json(self) -> str:
        """Returns the text of ranks.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Ranks:
        """Returns what `to_json` wrote.

        Raises:
          ValueError, TypeError, KeyError: the text was not written by `to_json`.
        """
        values = json.loads(text)
        ranks = tuple(Rank(**rank | {"taxa": tuple(rank["taxa"])}) for rank in values["ranks"])
        return cls(**values | {"ranks": ranks})


def fit(
    probabilities: Float[np.ndarray, "count num_classes"],
    labels: Integer[np.ndarray, " count"],
    species: Sequence[str],
    taxonomy: Mapping[str, Sequence[str]],
    precision: float,
    step: int,
) -> Ranks:
    """Chooses the thresholds of the ranks on validation images that are not refused.

    The threshold of a rank is the smallest probability, `MIN_PROBABILITY` at least, at which two shares reach the
    precision. Of all images whose taxon is as probable, the share that is right, one standard error less (the lower
    bound of Wilson's interval). And of those among them that no lower rank answers, whose errors the many easy images
    would hide, the share that is right, one standard error more: they are few.

    Args:
      probabilities: float [count, num_species], calibrated.
      labels: int [count].
      species: names of the species, in the order of the labels.
      taxonomy: taxon of each species by the name of a rank, from the lowest rank to the highest; empty: not known.
      precision: share of the answers that should be right.
      step: training step of the checkpoint.
    """
    ranks = []
    left = np.ones(len(labels), bool)
    for name, taxa in {SPECIES: tuple(species), **taxonomy}.items():
        rank = Rank(name, tuple(taxa))
        sums, first = _most_probable(rank, probabilities)
        names = np.array(_taxa(rank))
        right = names[first] == np.array(rank.taxa)[labels]
        left_to_it = left & _speaking(rank)[first]
        threshold = _threshold(sums, right, left_to_it, precision)
        ranks.append(Rank(name, rank.taxa, threshold))
        if threshold is not None:
            left &= ~(left_to_it & (sums >= threshold))
    return Ranks(tuple(ranks), precision, len(labels), step)


def _threshold(sums: np.ndarray, right: np.ndarray, left: np.ndarray, precision: float) -> float | None:
    floor = min(MIN_PROBABILITY, precision)
    for threshold in np.unique([floor, *sums[sums > floor]]):
        above = sums >= threshold
        own = above & left
        low, _ = wilson(int(right[above].sum()), int(above.sum()), ERRORS)
        _, high = wilson(int(right[own].sum()), int(own.sum()), ERRORS)
        if above.any() and low >= precision and high >= precision:
            return float(threshold)
    return None


def _taxa(rank: Rank) -> list[str]:
    return sorted({taxon for taxon in rank.taxa if taxon})


def _speaking(rank: Rank, listed: np.ndarray | None = None) -> np.ndarray:
    """Returns whether each taxon is an answer: a rank above the species has some of the species in it, and not all."""
    possible = np.ones(len(rank.taxa), bool) if listed is None else listed
    sizes = np.array([possible[[one == taxon for one in rank.taxa]].sum() for taxon in _taxa(rank)])
    speaking: np.ndarray = (sizes > 1) & (sizes < possible.sum())
    return speaking | (rank.name == SPECIES)


def _most_probable(rank: Rank, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probability of each image's most probable taxon, float [count], and its place in `_taxa`."""
    members = np.array([[one == taxon for one in rank.taxa] for taxon in _taxa(rank)], np.float64)
    sums = probabilities.astype(np.float64) @ members.T
    return sums.max(axis=1), sums.argmax(axis=1)
