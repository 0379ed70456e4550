"""Which photos an evaluation report shows: mistakes, what they were taken for, and where the network looked."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from butterflyer_jax.metrics.classification import worst_confusions
from butterflyer_jax.report.drawing import with_heat

if TYPE_CHECKING:
    import numpy as np

SIDE = 176
QUALITY = 76
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
      photo_id: path in the zip.
      species: its own.
      named: the one that the network named.
      probability: of that.
      own_probability: of its own species.
      uri: the picture.
      heat_uri: the picture with what speaks for the named species; empty where that was not asked for.
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
        """Whether the network named its species."""
        return self.species == self.named


@dataclass(frozen=True)
class Confusion:
    """A species that was taken for another.

    Attributes:
      species, named: both.
      count: photos of it.
      support: photos of the species.
      mistaken: some of them, the surest first.
      examples: photos of the other species that were named rightly.
    """

    species: str
    named: str
    count: int
    support: int
    mistaken: list[Seen]
    examples: list[Seen]


class Gallery:
    """Shows photos of a split; each is read and drawn once."""

    def __init__(
        self,
        species: Sequence[str],
        labels: np.ndarray,
        probabilities: np.ndarray,
        photo_ids: Sequence[str],
        view: View | None,
        heat_maps: HeatMaps | None,
    ) -> None:
        """Takes the answers, and how to get at pixels.

        Args:
          species: names.
          labels: int [count].
          probabilities: float [count, species].
          photo_ids: of each photo.
          view: gives (number, side) -> uint8 [side, side, 3]; None where there are no photos to show.
          heat_maps: gives (numbers, species) -> float [n, side, side] from 0 to 1.
        """
        self._species, self._labels, self._probabilities = species, labels, probabilities
        self._photo_ids, self._view, self._heat_maps = photo_ids, view, heat_maps
        self._uris: dict[int, str] = {}
        self._named = probabilities.argmax(axis=1)
        self._sure = probabilities.max(axis=1)

    def confusions(self, confusion: np.ndarray) -> list[Confusion]:
        """Returns the most frequent mistakes."""
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
        """Returns the wrong answers that the network was surest of."""
        return self._show(self._surest(self._labels != self._named, MAX_MISTAKES), heat=True)

    def right_ones(self) -> list[Seen]:
        """Returns a right answer of some species, one each, evenly from the first to the last."""
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
                to_uri(with_heat(self._view(n, SIDE), heats[place])) if heats else "",
            )
            for place, n in enumerate(numbers)
        ]

    def _uri(self, number: int) -> str:
        if number not in self._uris and self._view is not None:
            self._uris[number] = to_uri(self._view(number, SIDE))
        return self._uris[number]


def to_uri(pixels: np.ndarray) -> str:
    """Returns a picture as the address of an img element."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
