"""What training and evaluation ask of a data set."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Protocol

import numpy as np


class Position(Protocol):
    """A place in the data that a checkpoint can hold."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON."""

    def check(self, saved: dict[str, Any]) -> None:
        """Raises a UserError where `saved` is another place."""


class Data(Protocol):
    """What the loop asks of a data set; `data.input.record_data.RecordData` and `data.input.fake.FakeData` are such."""

    species: tuple[str, ...]
    steps_per_epoch: int
    fingerprint: str

    def num_photos(self, split: str) -> int:
        """Returns the photographs in a split."""

    def position(self, step: int) -> Position:
        """Returns the place in the data after `step` steps."""

    def train_batches(self, start_step: int) -> Generator[Mapping[str, np.ndarray], None, None]:
        """Yields training batches without end."""

    def eval_batches(self, split: str) -> Generator[Mapping[str, np.ndarray], None, None]:
        """Yields each photograph of a split once, padded and masked."""

    def bottleneck(self) -> str:
        """Returns which stage of the input took the most time since this was last asked, and what to change."""
