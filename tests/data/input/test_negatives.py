"""Negatives in training batches: the same for the same (seed, epoch, index), and as many in each batch."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from butterflyer_jax import Config
from butterflyer_jax.config import DataConfig
from butterflyer_jax.data import photo
from butterflyer_jax.data.input.fake import FakeData
from butterflyer_jax.data.input.position import Batch
from butterflyer_jax.data.input.record_data import RecordData

NUM_NEGATIVES = 3


def make_config(**changes: object) -> Config:
    data = DataConfig(image_size=32, shuffle_window=20, mode="cache", num_threads=2, negatives=NUM_NEGATIVES / 8)
    return Config(batch_size=8, data=dataclasses.replace(data, **changes))


def batches(dataset: Path, config: Config, count: int, start: int = 0, host: int = 0, hosts: int = 1) -> list[Batch]:
    data = RecordData(dataset, config, False, host, hosts)
    found = list(itertools.islice(data.train_batches(start), count))
    data.close()
    return found


@pytest.fixture(scope="module")
def nine(dataset: Path) -> list[Batch]:
    """Two epochs of four batches, and one more."""
    return batches(dataset, make_config(), 9)


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_each_batch_has_as_many_and_photos_stay_as_they_are(dataset: Path, nine: list[Batch]) -> None:
    places = []
    for ours, plain in zip(nine, batches(dataset, make_config(negatives=0.0), 9), strict=True):
        negative = ours["label"] == -1
        assert negative.sum() == NUM_NEGATIVES
        assert ours["label"].dtype == np.int32
        np.testing.assert_array_equal(ours["index"], plain["index"])
        np.testing.assert_array_equal(ours["label"][~negative], plain["label"][~negative])
        np.testing.assert_array_equal(ours["image"][~negative], plain["image"][~negative])
        assert not any((ours["image"] == plain["image"]).all(axis=(1, 2, 3))[negative])
        places.append(tuple(negative))
    assert len(set(places)) > 4, "not the same places in each batch"


@pytest.mark.parametrize("start", [1, 4, 6])
def test_a_run_that_resumes_has_the_same(dataset: Path, nine: list[Batch], start: int) -> None:
    assert_same(batches(dataset, make_config(num_threads=1), 2, start), nine[start : start + 2])


def test_hosts_draw_their_own_share(dataset: Path, nine: list[Batch]) -> None:
    hosts = [batches(dataset, make_config(), 3, 2, host, 4) for host in range(4)]
    for number, parts in enumerate(zip(*hosts, strict=True)):
        assert_same([{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}], [nine[2 + number]])


def test_they_are_the_same_where_jpegs_are_decoded_each_epoch(dataset: Path, nine: list[Batch]) -> None:
    assert_same(batches(dataset, make_config(mode="jpeg"), 5), nine[:5])


def test_crops_left_to_the_device_are_the_hosts(dataset: Path, nine: list[Batch]) -> None:
    for ours, theirs in zip(batches(dataset, make_config(crop="device"), 2), nine[:2], strict=True):
        for image, (top, left, height, width), label, crop in zip(
            ours["image"], ours["window"], ours["label"], theirs["image"], strict=True
        ):
            assert (top, left, height) == (0, 0, width) or label != -1
            part = photo.scale_part(image[top : top + height, left : left + width], 32)
            np.testing.assert_array_equal(part, crop)


def test_fake_data_has_them_too() -> None:
    config = make_config()
    [batch] = itertools.islice(FakeData(config).train_batches(3), 1)
    parts = [next(iter(FakeData(config, host, 2).train_batches(3)))["label"] for host in range(2)]
    assert (batch["label"] == -1).sum() == NUM_NEGATIVES
    np.testing.assert_array_equal(np.concatenate(parts), batch["label"])
