"""The sampler: photos and crop windows of each batch, settled before a pixel is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer

from butterflyer_jax.config import Config
from butterflyer_jax.data.input import crops
from butterflyer_jax.data.input.position import Batch
from butterflyer_jax.data.input.shard_reader import Photos
from butterflyer_jax.data.protocol import NEGATIVE_LABEL

# Share of the negatives of a batch that are the user's, where there are any; the others are drawn.
USER_SHARE = 0.5
# Streams of random numbers that share (seed, epoch); `crops` has number 2.
ORDER_STREAM, BALANCE_STREAM, NEGATIVE_PLACES_STREAM, NEGATIVE_STREAM = 0, 1, 3, 4


@dataclass(frozen=True)
class Negative:
    """An image of a batch that shows no species.

    Attributes:
      seed: seed of its random draws.
      number: number of the user's negative that it shows a part of; None if it is drawn from the photo it replaces.
    """

    seed: Sequence[int]
    number: int | None = None


@dataclass(frozen=True)
class Request:
    """A host's part of a batch, for the loader.

    Attributes:
      photos: int [n], numbers of photos in their split.
      windows: int32 [n, 4], the part of each: top, left, height, width, pixels.
      rest: further arrays of the batch beside pixels.
      shards: numbers of the shards that hold these photos and the following ones, in the order of need.
      negatives: negatives by the row whose photo they replace.
    """

    photos: Integer[np.ndarray, " n"]
    windows: Int32[np.ndarray, "n 4"]
    rest: Batch
    shards: Sequence[int]
    negatives: Mapping[int, Negative] = field(default_factory=dict)


def epoch_order(photos: Photos, config: Config, epoch: int) -> EpochOrder:
    """Returns the order in which an epoch reads the training photos."""
    balance = config.data.class_balance
    repeats = balanced_repeats(photos.label, balance, [config.seed, epoch, BALANCE_STREAM]) if balance else None
    return shuffled(photos.shard, config.data.shuffle_window, [config.seed, epoch, ORDER_STREAM], repeats)


def training(
    photos: Photos,
    config: Config,
    start_step: int,
    steps_per_epoch: int,
    host: slice,
    num_negatives: int = 0,
) -> Iterator[Request]:
    """Yields requests without end, from the one that step `start_step` takes; a batch has index int32 [n].

    Args:
      photos: photos of the training split.
      config: config of the run.
      start_step: number of steps done before.
      steps_per_epoch: number of batches per epoch.
      host: this host's part of a global batch.
      num_negatives: number of negatives that the user gave.
    """
    epoch, first = divmod(start_step, steps_per_epoch)
    this, following = epoch_order(photos, config, epoch), epoch_order(photos, config, epoch + 1)
    of_photos = frames(photos, config, for_training=True)
    while True:
        # The group after the last is the first of the next epoch.
        groups = [*this.groups, following.groups[0]]
        # The groups that a batch may reach into, and the next one.
        reach = 2 + config.batch_size // max(1, min(np.diff([*this.starts, len(this.photos)])))
        wanted = [
            list(dict.fromkeys(itertools.chain.from_iterable(groups[n : n + reach]))) for n in range(len(this.groups))
        ]
        for batch in range(first, steps_per_epoch):
            start = batch * config.batch_size
            index = np.arange(start, start + config.batch_size, dtype=np.int32)[host]
            numbers = this.photos[index]
            parts = of_photos[numbers]
            windows = crops.random_windows(config.seed, epoch, index, parts[:, 2], parts[:, 3], config.augment)
            windows = crops.within(windows, parts)
            is_negative = negative_places(config, epoch, batch)[host]
            rest = {"label": with_negatives(photos.label[numbers], is_negative), "index": index}
            negatives = {
                int(row): _choose_negative([config.seed, epoch, NEGATIVE_STREAM, int(index[row])], num_negatives)
                for row in np.flatnonzero(is_negative)
            }
            yield Request(numbers, windows, rest, wanted[this.group_at(start)], negatives)
        epoch, first = epoch + 1, 0
        this, following = following, epoch_order(photos, config, epoch + 1)


def frames(photos: Photos, config: Config, for_training: bool) -> Int32[np.ndarray, "_ 4"]:
    """Returns the part of each photo that crops are taken from, int32 [num_photos, 4]: top, left, height, width.

    That is the surroundings of its box where `data.boxes` says so, else the whole photo.
    """
    if photos.boxes is None or not uses_boxes(photos, config, for_training):
        start = np.zeros_like(photos.height)
        return np.stack([start, start, photos.height, photos.width], axis=1)
    return crops.frames(photos.height, photos.width, photos.boxes)


def uses_boxes(photos: Photos, config: Config, for_training: bool) -> bool:
    """Returns whether some photos have boxes that `data.boxes` lets count."""
    return photos.boxes is not None and config.data.boxes in (("use", "train") if for_training else ("use",))


def evaluation_windows(photos: Photos, config: Config) -> Int32[np.ndarray, "_ 4"]:
    """Returns the square that evaluation sees of each photo, int32 [num_photos, 4]: top, left, height, width."""
    parts = frames(photos, config, for_training=False)
    return crops.within(crops.central_windows(parts[:, 2], parts[:, 3], config.data.eval_crop_fraction), parts)


def negative_places(config: Config, epoch: int, batch: int) -> Bool[np.ndarray, " {config.batch_size}"]:
    """Returns which images of a global batch are negatives, bool [batch_size]; their number is the same in each."""
    places = np.zeros(config.batch_size, np.bool_)
    if count := config.num_negatives:
        rng = np.random.default_rng([config.seed, epoch, NEGATIVE_PLACES_STREAM, batch])
        places[rng.permutation(config.batch_size)[:count]] = True
    return places


def _choose_negative(seed: Sequence[int], num_negatives: int) -> Negative:
    if not num_negatives:
        return Negative(seed)
    rng = np.random.default_rng([*seed, 1])
    return Negative(seed, int(rng.integers(num_negatives)) if rng.random() < USER_SHARE else None)


def with_negatives(labels: Integer[np.ndarray, " n"], is_negative: Bool[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
    """Returns the labels, int32 [n], with -1, the label of a negative, where `is_negative`, bool [n], is True."""
    return np.where(is_negative, NEGATIVE_LABEL, labels).astype(np.int32)


def evaluation(photos: Photos, config: Config, host: slice) -> Iterator[Request]:
    """Yields a request for each batch of a split, in a fixed order; a batch has mask float32 [n].

    The last batch is filled with its first photo, which the mask leaves out: every batch has one shape, on each
    host.
    """
    all_windows = evaluation_windows(photos, config)
    for start in range(0, len(photos), config.batch_size):
        place = np.arange(start, start + config.batch_size)[host]
        numbers = np.where(place < len(photos), place, start)
        windows = all_windows[numbers]
        rest = {"label": photos.label[numbers], "mask": (place < len(photos)).astype(np.float32)}
        yield Request(numbers, windows, rest, range(photos.shard[start], photos.num_shards))


@dataclass(frozen=True)
class EpochOrder:
    """The reading order of an epoch.

    Attributes:
      photos: int64 [num_photos], numbers of photos in the order of reading.
      groups: shards that are shuffled together, group after group.
      starts: place in `photos` at which each group begins.
    """

    photos: Int64[np.ndarray, " num_photos"]
    groups: list[list[int]]
    starts: list[int]

    def group_at(self, place: int) -> int:
        """Returns the number of the group that the photo at a place belongs to."""
        return int(np.searchsorted(self.starts, place, side="right")) - 1


def shuffled(
    shard: Integer[np.ndarray, " num_photos"],
    window: int,
    seed: Sequence[int],
    repeats: Integer[np.ndarray, " num_photos"] | None = None,
) -> EpochOrder:
    """Returns the order of an epoch: shards in random order, photos shuffled over groups of whole shards.

    So a bucket's shards are needed one group after the other, and a place in the epoch is found without reading.

    Args:
      shard: int32 [num_photos], the shard of each photo, ascending.
      window: least number of photos in a group, if there are enough.
      seed: seed of the epoch.
      repeats: int64 [num_photos], number of times each photo is read; by default once.
    """
    rng = np.random.default_rng(seed)
    if repeats is None:
        repeats = np.ones(len(shard), np.int64)
    first = np.searchsorted(shard, np.arange(shard[-1] + 2))
    groups: list[list[int]] = [[]]
    size = 0
    for number in rng.permutation(len(first) - 1):
        if size >= window:
            groups.append([])
            size = 0
        groups[-1].append(int(number))
        size += int(first[number + 1] - first[number])
    # A last group that is small would be shuffled worse than the others.
    if len(groups) > 1 and size < window:
        small = groups.pop()
        groups[-1] += small
    photos = []
    for group in groups:
        members = np.concatenate([np.arange(first[number], first[number + 1]) for number in group])
        photos.append(rng.permutation(np.repeat(members, repeats[members])))
    starts = np.cumsum([0, *map(len, photos)])[:-1]
    return EpochOrder(np.concatenate(photos), groups, starts.tolist())


def balanced_repeats(
    labels: Integer[np.ndarray, " num_photos"], balance: float, seed: Sequence[int]
) -> Int64[np.ndarray, " num_photos"]:
    """Returns how often each photo is read in an epoch that is balanced between species.

    Species are read in proportion to n**(1 - balance), n the photos of each: with a balance of 0 every photo
    as often, with 1 every species; 0.5 is the square-root sampling of Mahajan et al. 2018 (arXiv:1805.00932). Drawn by
    systematic sampling (Madow 1949): species and photos are each read the whole number of times just below or
    just above their share.

    Args:
      labels: int32 [num_photos].
      balance: exponent from 0 to 1.
      seed: seed of the epoch.

    Returns:
      int64 [num_photos], whose sum is num_photos.
    """
    rng = np.random.default_rng(seed)
    # Each species in an order that changes, so that no draw favours one of its photos.
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    ends = np.cumsum(np.bincount(labels)[labels[order]].astype(np.float64) ** -balance)
    marks = np.floor(ends * (len(labels) / ends[-1]) + rng.random())
    # Rounding must not lose the last one.
    marks[-1] = len(labels)
    repeats = np.empty(len(labels), np.int64)
    repeats[order] = np.diff(marks, prepend=0).astype(np.int64)
    return repeats


def host_slice(batch_size: int, process_index: int, process_count: int) -> slice:
    """Returns a host's part of a global batch: the batch is the same on any number of hosts."""
    share = batch_size // process_count
    return slice(process_index * share, (process_index + 1) * share)
