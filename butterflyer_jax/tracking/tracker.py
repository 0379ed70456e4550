"""The Tracker protocol, and the values that trackers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8


@dataclass(frozen=True)
class Sample:
    """A validation image with its prediction.

    Attributes:
      pixels: uint8 [side, side, 3], as the network saw it.
      species: true species of the image.
      predicted: most probable species; probability: its probability.
    """

    pixels: UInt8[np.ndarray, "side side 3"]
    species: str
    predicted: str
    probability: float

    @property
    def verdict(self) -> str:
        """Returns a short text with the prediction."""
        return f"{'right' if self.species == self.predicted else self.predicted} {self.probability:.0%}"


@dataclass(frozen=True)
class Pictures:
    """The images of an evaluation.

    Attributes:
      step: training step of the state that was evaluated.
      species: names of the species, in the order of the labels.
      confusion: int32 [num_classes, num_classes], images of val by (species, prediction).
      samples: validation images, the same ones each time.
    """

    step: int
    species: Sequence[str]
    confusion: Integer[np.ndarray, "num_classes num_classes"]
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Model:
    """The best checkpoint of a run that has ended.

    Attributes:
      step: training step of the checkpoint.
      scores: metrics of its evaluation; None if there was none.
      files: files needed to predict with it, by path in the run folder.
    """

    step: int
    scores: Mapping[str, float] | None
    files: Mapping[str, Path]


class Tracker:
    """Receiver of a run's metrics, images and model; this one keeps nothing of them."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Logs a record of numbers; it has at least `step`, `epoch` and `split`."""

    def show(self, pictures: Pictures) -> None:
        """Logs the images of an evaluation."""

    def keep_model(self, model: Model) -> None:
        """Keeps the model that the run ended with."""

    def close(self, failed: bool = False) -> None:
        """Finishes; `failed` is true if an error ended the run."""


def numbers_by_name(record: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers of a record as `{"train/loss": …}`, without its step and epoch."""
    return {
        f"{record['split']}/{name}": value
        for name, value in record.items()
        if name not in ("step", "epoch") and isinstance(value, (int, float))
    }


def in_one_line(error: Exception) -> str:
    """Returns the message of an error in one line, or its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
