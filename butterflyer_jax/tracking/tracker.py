"""What a tracker is, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Sample:
    """An image of val and what the network said of it.

    Attributes:
      pixels: uint8 [side, side, 3], as the network saw it.
      species: its own.
      predicted: the most probable species, with its probability.
    """

    pixels: np.ndarray
    species: str
    predicted: str
    probability: float

    @property
    def verdict(self) -> str:
        """Says in a word what the network said."""
        return f"{'right' if self.species == self.predicted else self.predicted} {self.probability:.0%}"


@dataclass(frozen=True)
class Pictures:
    """What there is to see of an evaluation.

    Attributes:
      step: of the state that was evaluated.
      species: names; the position is the label.
      confusion: int32 [num_classes, num_classes], images of val by (species, prediction).
      samples: the same images each time.
    """

    step: int
    species: Sequence[str]
    confusion: np.ndarray
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Model:
    """The best checkpoint of a run that has ended.

    Attributes:
      step: of the checkpoint.
      scores: its evaluation, None where there was none.
      files: what it takes to predict with it, by the place in a run folder.
    """

    step: int
    scores: Mapping[str, float] | None
    files: Mapping[str, Path]


class Tracker(Protocol):
    """Takes what a run has to tell."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Keeps a record of numbers; it has at least `step`, `epoch` and `split`."""

    def show(self, pictures: Pictures) -> None:
        """Keeps the pictures of an evaluation."""

    def keep_model(self, model: Model) -> None:
        """Takes note of the model that the run ended with."""

    def close(self, failed: bool = False) -> None:
        """Finishes; `failed` where an error ended the run."""


def numbers_by_name(record: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers of a record as `{"train/loss": …}`; what places it, its step and epoch, is left out."""
    return {
        f"{record['split']}/{name}": value
        for name, value in record.items()
        if name not in ("step", "epoch") and isinstance(value, (int, float))
    }


def in_one_line(error: Exception) -> str:
    """Returns what an error says, or its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
