"""Which photographs a batch holds and which part of each: all that a batch depends on, before a pixel is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from butterflyer_jax.config import Config
from butterflyer_jax.data import crops, order
from butterflyer_jax.data.iterator import Batch
from butterflyer_jax.data.shards import Photographs

# Streams of random numbers that share (seed, epoch); `crops` has another.
ORDER_STREAM, BALANCE_STREAM = range(2)


@dataclass(frozen=True)
class Request:
    """A host's part of a batch, to be made.

    Attributes:
      photos: int [n], numbers of photographs in their split.
      windows: int32 [n, 4], the part of each: top, left, height, width, pixels.
      rest: what the batch holds beside pixels.
      shards: numbers of the shards that these photographs and those after them lie in, in the order of need.
    """

    photos: np.ndarray
    windows: np.ndarray
    rest: Batch
    shards: Sequence[int]


def epoch_order(photos: Photographs, config: Config, epoch: int) -> order.EpochOrder:
    """Returns the order in which an epoch reads the training photographs."""
    balance = config.data.class_balance
    repeats = order.balanced_repeats(photos.label, balance, [config.seed, epoch, BALANCE_STREAM]) if balance else None
    return order.shuffled(photos.shard, config.data.shuffle_window, [config.seed, epoch, ORDER_STREAM], repeats)


def training(
    photos: Photographs, config: Config, start_step: int, steps_per_epoch: int, host: slice
) -> Iterator[Request]:
    """Yields requests without end, from the one that step `start_step` takes; a batch has index int32 [n].

    Args:
      photos: of the training split.
      config: of the run.
      start_step: steps done before.
      steps_per_epoch: batches an epoch.
      host: this host's part of a global batch.
    """
    epoch, first = divmod(start_step, steps_per_epoch)
    this, following = epoch_order(photos, config, epoch), epoch_order(photos, config, epoch + 1)
    while True:
        # The group after the last is the first of the next epoch.
        groups = [*this.groups, following.groups[0]]
        # As many groups as a batch may reach into, and the next.
        reach = 2 + config.batch_size // max(1, min(np.diff([*this.starts, len(this.photos)])))
        wanted = [
            list(dict.fromkeys(itertools.chain.from_iterable(groups[n : n + reach]))) for n in range(len(this.groups))
        ]
        for batch in range(first, steps_per_epoch):
            start = batch * config.batch_size
            index = np.arange(start, start + config.batch_size, dtype=np.int32)[host]
            numbers = this.photos[index]
            height, width = photos.height[numbers], photos.width[numbers]
            windows = crops.random_windows(config.seed, epoch, index, height, width, config.augment)
            rest = {"label": photos.label[numbers], "index": index}
            yield Request(numbers, windows, rest, wanted[this.group_at(start)])
        epoch, first = epoch + 1, 0
        this, following = following, epoch_order(photos, config, epoch + 1)


def evaluation(photos: Photographs, config: Config, host: slice) -> Iterator[Request]:
    """Yields a request for each batch of a split, in a fixed order; a batch has mask float32 [n].

    The last batch is filled with its first photograph, which the mask leaves out: every batch has one shape, on each
    host.
    """
    for start in range(0, len(photos), config.batch_size):
        place = np.arange(start, start + config.batch_size)[host]
        numbers = np.where(place < len(photos), place, start)
        windows = crops.central_windows(photos.height[numbers], photos.width[numbers], config.data.eval_crop_fraction)
        rest = {"label": photos.label[numbers], "mask": (place < len(photos)).astype(np.float32)}
        yield Request(numbers, windows, rest, range(photos.shard[start], photos.num_shards))
