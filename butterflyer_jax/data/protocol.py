"""The Data protocol: the interface of a data set for training and evaluation."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int32

# Label of a negative, an image of a training batch that shows no species.
NEGATIVE_LABEL = -1


class Position(Protocol):
    """A position in the order of the data, which a checkpoint holds."""

    def to_json(self) -> dict[str, Any]:
        """Returns the position as a dict for JSON."""

    def check(self, saved: dict[str, Any]) -> None:
        """Raises a UserError where `saved` is another position."""


class Data(Protocol):
    """An open data set: `data.input.record_data.RecordData`, or `data.input.fake.FakeData`.

    Attributes:
      species: names; the position is the label.
      class_counts: number of training photos of each species.
      steps_per_epoch: number of training batches per epoch.
      fingerprint: hash of the content and the order of the records.
    """

    species: tuple[str, ...]
    class_counts: tuple[int, ...]
    steps_per_epoch: int
    fingerprint: str

    def num_photos(self, split: str) -> int:
        """Returns the number of photos in a split, or of the user's `negatives`; 0 where there are none."""

    def labels(self, split: str) -> Int32[np.ndarray, " num_photos"]:
        """Returns the labels of a split, int32 [num_photos], in the order of `eval_batches`."""

    def photo_ids(self, split: str) -> list[str]:
        """Returns the paths of a split's photos in their source, in the order of `eval_batches`; [] if not known."""

    def photo_spec(self) -> Mapping[str, tuple[tuple[int, ...], Any]]:
        """Returns (shape, dtype) of what a training batch holds of one photo, by name."""

    def position(self, step: int) -> Position:
        """Returns the position in the data after `step` steps."""

    def train_batches(self, start_step: int) -> Generator[Mapping[str, np.ndarray], None, None]:
        """Yields training batches without end, from the one that step `start_step` takes."""

    def eval_batches(self, split: str) -> Generator[Mapping[str, np.ndarray], None, None]:
        """Yields each photo of a split once, padded and masked."""

    def jpegs(self, split: str, numbers: Iterable[int]) -> Iterator[bytes]:
        """Yields stored JPEGs of a split, by their places in the order of `eval_batches`."""

    def frames(self, split: str) -> np.ndarray | None:
        """Returns the part of each photo that stands for it in evaluation, int32 [num_photos, 4]; None: the whole.

        Top, left, height and width of the surroundings of its box, pixels of the stored JPEG; zeros for the whole.
        """

    def bottleneck(self) -> str:
        """Returns which stage of the input took the most time since the last call, and what to change."""

    def close(self) -> None:
        """Closes threads and files."""
