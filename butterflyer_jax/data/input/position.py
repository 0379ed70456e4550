"""The position of a run in its data, from which resuming repeats the same batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from butterflyer_jax.config import Config
from butterflyer_jax.errors import UserError

Batch: TypeAlias = dict[str, np.ndarray]
PhotoSpec: TypeAlias = dict[str, tuple[tuple[int, ...], type[np.generic]]]
T = TypeVar("T")
POSITION_VERSION = 2


@dataclass(frozen=True)
class Position:
    """The position of a run in its data, in a few bytes of JSON.

    Attributes:
      seed: seed of shuffling and augmentation.
      epoch: number of whole epochs done.
      batch: number of batches done in this epoch.
      batch_size: number of photos per batch, over all hosts.
      dataset: fingerprint of the data set.
      version: version of this format.
    """

    seed: int
    epoch: int
    batch: int
    batch_size: int
    dataset: str
    version: int = POSITION_VERSION

    @classmethod
    def after(cls, step: int, steps_per_epoch: int, config: Config, dataset: str) -> Position:
        """Returns the position after `step` steps of a run with this config, in the data set of this fingerprint."""
        epoch, batch = divmod(step, steps_per_epoch)
        return cls(config.seed, epoch, batch, config.batch_size, dataset)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a dict for JSON."""
        return asdict(self)

    def check(self, saved: dict[str, Any]) -> None:
        """Compares with the position that a checkpoint holds for the same step.

        Raises:
          UserError: the same batches cannot be repeated; the message names the difference.
        """
        here = self.to_json()
        changed = [name for name in here if saved.get(name) != here[name]]
        if not changed:
            return
        words = [
            "other photos, or built in another way"
            if name == "dataset"
            else f"{name} {saved.get(name)!r} -> {here[name]!r}"
            for name in changed
        ]
        raise UserError(f"the checkpoint's place in the data cannot be found again: {', '.join(words)}")


def batches_from(
    make_epoch: Callable[[int, int], Iterator[Batch]], steps_per_epoch: int, start_step: int
) -> Generator[Batch, None, None]:
    """Yields batches without end, from the one that step `start_step` takes.

    Args:
      make_epoch: called with (epoch, first batch), yields the rest of that epoch's batches.
      steps_per_epoch: number of batches per epoch.
      start_step: number of steps done before.
    """
    epoch, batch = divmod(start_step, steps_per_epoch)
    while True:
        yield from make_epoch(epoch, batch)
        epoch, batch = epoch + 1, 0


def photo_spec(side: int, windowed: bool = False) -> PhotoSpec:
    """Returns shape and dtype of each array of one photo in a training batch, by name.

    Args:
      side: side of the square image, pixels.
      windowed: whether the batch also holds the window that the device crops.
    """
    spec: PhotoSpec = {"image": ((side, side, 3), np.uint8), "label": ((), np.int32), "index": ((), np.int32)}
    return spec | {"window": ((4,), np.int32)} if windowed else spec
