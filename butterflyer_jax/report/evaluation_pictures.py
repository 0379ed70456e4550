"""Selection of the photos that an evaluation report shows: mistakes, confusions, heat maps and right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer
from PIL import Image

from butterflyer_jax.metrics.classification import worst_confusions
from butterflyer_jax.report.drawing import with_heat
from butterflyer_jax.report.pictures import to_uri

SIDE = 176
MAX_CONFUSIONS = 8
PER_CONFUSION = 3
MAX_MISTAKES = 12
MAX_RIGHT = 8

View = Callable[[int, int], "np.ndarray"]
HeatMaps = Callable[[Sequence[int], Sequence[int]], "np.ndarray"]


@dataclass(frozen=True)
class Seen:
    """A photo as the network saw it.

    Attributes:
      photo_id: path of the photo in the zip.
      species: species of the photo.
      named: species that the network predicted.
      probability: probability of the predicted species.
      own_probability: probability of the photo's own species.
      uri: data URI of the image.
      heat_uri: data URI of the image with the predicted species' heat map; empty if none was requested.
    """

    photo_id: str
    species: str
    named: str
    probability: float
    own_probability: float
    uri: str
    heat_uri: str = ""

    @property
    def right(self) -> bool:
        """Whether the prediction is right."""
        return self.species == self.named


@dataclass(frozen=True)
class Confusion:
    """A species that was taken for another.

    Attributes:
      species, named: the true species and the predicted one.
      count: number of photos confused so.
      support: number of photos of the true species.
      mistaken: some of the confused photos, the most confident first.
      examples: photos of the predicted species that were classified correctly.
    """

    species: str
    named: str
    count: int
    support: int
    mistaken: list[Seen]
    examples: list[Seen]


class Gallery:
    """Photos of a split for the report; each is read and drawn once."""

    def __init__(
        self,
        species: Sequence[str],
        labels: np.ndarray,
        probabilities: np.ndarray,
        photo_ids: Sequence[str],
        view: View | None,
        heat_maps: HeatMaps | None,
    ) -> None:
        """Holds the predictions, and the functions that return pixels.

        Args:
          species: names of the species.
          labels: int [count].
          probabilities: float [count, species].
          photo_ids: path of each photo in its source.
          view: maps (number, side) to uint8 [side, side, 3]; None if there are no photos to show.
          heat_maps: maps (numbers, species) to float [n, side, side] from 0 to 1.
        """
        self._species, self._labels, self._probabilities = species, labels, probabilities
        self._photo_ids, self._view, self._heat_maps = photo_ids, view, heat_maps
        self._uris: dict[int, str] = {}
        self._named = probabilities.argmax(axis=1)
        self._sure = probabilities.max(axis=1)

    def confusions(self, confusion: Integer[np.ndarray, "num_species num_species"]) -> list[Confusion]:
        """Returns the most frequent confusions of two species."""
        found = []
        for true, named, count in worst_confusions(confusion, MAX_CONFUSIONS):
            mistaken = self._surest((self._labels == true) & (self._named == named), PER_CONFUSION)
            examples = self._surest((self._labels == named) & (self._named == named), PER_CONFUSION)
            found.append(
                Confusion(
                    self._species[true],
                    self._species[named],
                    count,
                    int(confusion[true].sum()),
                    self._show(mistaken),
                    self._show(examples),
                )
            )
        return found

    def mistakes(self) -> list[Seen]:
        """Returns the wrong predictions with the highest probability."""
        return self._show(self._surest(self._labels != self._named, MAX_MISTAKES), heat=True)

    def right_ones(self) -> list[Seen]:
        """Returns one right prediction for each of some species, spread evenly from the first to the last."""
        numbers = []
        for label in range(len(self._species)):
            numbers += self._surest((self._labels == label) & (self._named == label), 1)
        if len(numbers) > MAX_RIGHT:
            numbers = [numbers[n * (len(numbers) - 1) // (MAX_RIGHT - 1)] for n in range(MAX_RIGHT)]
        return self._show(numbers, heat=True)

    def _surest(self, chosen: np.ndarray, limit: int) -> list[int]:
        numbers = chosen.nonzero()[0]
        return [int(n) for n in numbers[(-self._sure[numbers]).argsort(kind="stable")][:limit]]

    def _show(self, numbers: Sequence[int], heat: bool = False) -> list[Seen]:
        if self._view is None:
            return []
        heats = []
        if heat and self._heat_maps is not None and numbers:
            heats = [*self._heat_maps(numbers, [int(self._named[n]) for n in numbers])]
        return [
            Seen(
                self._photo_ids[n],
                self._species[self._labels[n]],
                self._species[self._named[n]],
                float(self._sure[n]),
                float(self._probabilities[n, self._labels[n]]),
                self._uri(n),
                to_uri(Image.fromarray(with_heat(self._view(n, SIDE), heats[place]))) if heats else "",
            )
            for place, n in enumerate(numbers)
        ]

    def _uri(self, number: int) -> str:
        if number not in self._uris and self._view is not None:
            self._uris[number] = to_uri(Image.fromarray(self._view(number, SIDE)))
        return self._uris[number]
