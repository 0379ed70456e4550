"""Orders of reading: each photo once, shuffled by whole shards, or balanced between species."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from butterflyer_jax.data.input import sampler

SHARDS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def shard_of(lengths: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)


@given(SHARDS, st.integers(1, 40), st.integers(0, 5))
def test_each_photo_once_and_groups_of_whole_shards(lengths: list[int], window: int, seed: int) -> None:
    shard = shard_of(lengths)
    epoch = sampler.shuffled(shard, window, [seed, 0])
    assert sorted(epoch.photos.tolist()) == list(range(len(shard)))
    assert sorted(np.concatenate(epoch.groups).tolist()) == list(range(shard[-1] + 1))
    ends = [*epoch.starts[1:], len(shard)]
    for group, start, end in zip(epoch.groups, epoch.starts, ends, strict=True):
        assert set(shard[epoch.photos[start:end]].tolist()) <= set(group)
        assert end - start >= min(window, len(shard))
        assert {epoch.group_at(place) for place in range(start, end)} == {epoch.starts.index(start)}


def test_seed_and_epoch_settle_the_order() -> None:
    shard = shard_of([50, 50, 50, 50])
    one, same = (sampler.shuffled(shard, 60, [7, 3]) for _ in range(2))
    np.testing.assert_array_equal(one.photos, same.photos)
    for other in ([7, 4], [8, 3]):
        assert not np.array_equal(one.photos, sampler.shuffled(shard, 60, other).photos)


def test_a_window_as_large_as_the_data_mixes_all_of_it() -> None:
    """The first tenth of many epochs holds each photo as often as chance would have it."""
    shard = shard_of([25] * 8)
    counts = sum(np.bincount(sampler.shuffled(shard, 200, [0, n]).photos[:20], minlength=200) for n in range(2000))
    assert abs(counts - 200).max() < 6 * np.sqrt(200 * 0.9)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_species_get_their_share_to_one_photo(counts: list[int], balance: float, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    repeats = sampler.balanced_repeats(labels, balance, [seed, 0])
    assert repeats.sum() == len(labels)
    n = np.array(counts, float)
    shares = n ** (1 - balance) / (n ** (1 - balance)).sum() * n.sum()
    drawn = np.bincount(labels, weights=repeats, minlength=len(n))
    assert np.abs(drawn - shares).max() <= 1 + 1e-6
    for label, share in enumerate(shares / n):
        assert set(repeats[labels == label]) <= {np.floor(share), np.floor(share) + 1, np.round(share)}


def test_a_balance_of_nought_reads_each_photo_once() -> None:
    labels = np.repeat([0, 1, 2], [680, 30, 1])
    np.testing.assert_array_equal(sampler.balanced_repeats(labels, 0.0, [0]), np.ones(711))


def test_over_epochs_each_photo_of_a_species_is_read_as_often() -> None:
    labels = np.repeat([0, 1], [90, 10])
    drawn = np.mean([sampler.balanced_repeats(labels, 1.0, [n]) for n in range(3000)], axis=0)
    np.testing.assert_allclose(drawn[:90], 50 / 90, atol=0.05)
    np.testing.assert_allclose(drawn[90:], 5, atol=0.01)


@given(st.integers(1, 8), st.integers(1, 16))
def test_hosts_take_equal_parts_that_make_up_the_batch(process_count: int, share: int) -> None:
    batch = np.arange(process_count * share)
    parts = [batch[sampler.host_slice(len(batch), host, process_count)] for host in range(process_count)]
    assert {len(part) for part in parts} == {share}
    np.testing.assert_array_equal(np.concatenate(parts), batch)
