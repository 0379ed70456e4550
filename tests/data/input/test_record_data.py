"""The input pipeline: the same batches whatever interrupts it, and each photo counted once."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import Config, UserError
from butterflyer_jax.config import AugmentConfig, DataConfig
from butterflyer_jax.data import photo, protocol
from butterflyer_jax.data.input.fake import FakeData
from butterflyer_jax.data.input.position import Batch, Position, batches_from
from tests.conftest import SPECIES


def tiny_config(**changes: object) -> Config:
    return dataclasses.replace(Config(batch_size=8, data=DataConfig(image_size=32, shuffle_window=20)), **changes)


def open_records(dataset: Path, config: Config):  # noqa: ANN201
    from butterflyer_jax.data.input.record_data import RecordData

    return RecordData(dataset, config)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def first_batches(dataset: Path, count: int, start: int = 0, **changes: object) -> list[Batch]:
    return list(itertools.islice(open_records(dataset, tiny_config(**changes)).train_batches(start), count))


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_the_seed_settles_the_batches(dataset: Path) -> None:
    batches = first_batches(dataset, 9)
    assert_same(batches, first_batches(dataset, 9))
    assert not np.array_equal(batches[0]["image"], first_batches(dataset, 1, seed=1)[0]["image"])


@pytest.mark.parametrize("mode", ["jpeg", "cache", "raw"])
@pytest.mark.parametrize("num_threads", [1, 5])
def test_threads_and_modes_do_not_matter(dataset: Path, cache: Path, num_threads: int, mode: str) -> None:
    data = DataConfig(image_size=32, shuffle_window=20, num_threads=num_threads, mode=mode)
    assert_same(first_batches(dataset, 5), first_batches(dataset, 5, data=data))
    config = tiny_config()
    ours = list(open_records(dataset, dataclasses.replace(config, data=data)).eval_batches("val"))
    assert_same(ours, list(open_records(dataset, config).eval_batches("val")))


def test_jpegs_in_memory_give_the_same_batches(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where pixels do not fit, 0.0001 GiB, but JPEGs do."""
    data = DataConfig(image_size=32, shuffle_window=20, mode="cache", cache_gib=0.0002)
    assert_same(first_batches(dataset, 5), first_batches(dataset, 5, data=data))
    assert "JPEGs kept in memory, 0.00 GiB" in capsys.readouterr().err


def test_a_cache_that_is_too_small_is_refused(dataset: Path) -> None:
    data = DataConfig(image_size=32, mode="cache", cache_gib=0.00001)
    with pytest.raises(UserError, match=r"mode=cache needs .* raise data\.cache_gib = 1e-05, or set data\.mode=raw"):
        open_records(dataset, tiny_config(data=data))


@pytest.mark.parametrize("mode", ["jpeg", "cache"])
def test_crops_left_to_the_device_are_the_hosts(dataset: Path, mode: str) -> None:
    data = DataConfig(image_size=32, shuffle_window=20, mode=mode, crop="device")
    config = dataclasses.replace(tiny_config(), data=data)
    for ours, theirs in (
        (first_batches(dataset, 5, data=data), first_batches(dataset, 5)),
        (
            list(open_records(dataset, config).eval_batches("val")),
            list(open_records(dataset, tiny_config()).eval_batches("val")),
        ),
    ):
        for one, other in zip(ours, theirs, strict=True):
            assert one["window"].dtype == np.int32
            for image, (top, left, height, width), crop in zip(
                one["image"], one["window"], other["image"], strict=True
            ):
                part = image[top : top + height, left : left + width]
                np.testing.assert_array_equal(photo.scale_part(part, 32), crop)
            assert_same([{n: one[n] for n in other if n != "image"}], [{n: other[n] for n in other if n != "image"}])


@pytest.mark.parametrize("process_count", [2, 4])
def test_hosts_share_each_batch_and_the_number_of_hosts_does_not_matter(dataset: Path, process_count: int) -> None:
    """So each photo is seen once per epoch, and a run may resume with another number of hosts."""
    from butterflyer_jax.data.input.record_data import RecordData

    hosts = [RecordData(dataset, tiny_config(), False, host, process_count) for host in range(process_count)]
    for ours, theirs in (
        ([itertools.islice(host.train_batches(3), 5) for host in hosts], first_batches(dataset, 5, start=3)),
        ([host.eval_batches("val") for host in hosts], list(open_records(dataset, tiny_config()).eval_batches("val"))),
    ):
        parts = [list(batches) for batches in ours]
        assert {len(part["label"]) for batches in parts for part in batches} == {8 // process_count}
        joined = [
            {name: np.concatenate([part[name] for part in of_hosts]) for name in of_hosts[0]}
            for of_hosts in zip(*parts, strict=True)
        ]
        assert_same(joined, theirs)
    saved = hosts[0].position(6).to_json()
    open_records(dataset, tiny_config()).position(6).check(saved)


def test_hosts_that_cannot_share_a_batch_are_refused(dataset: Path) -> None:
    from butterflyer_jax.data.input.record_data import RecordData

    with pytest.raises(UserError, match="batch_size = 8 must be a multiple of the 3 hosts"):
        RecordData(dataset, tiny_config(), False, 0, 3)


@pytest.mark.parametrize("start", [1, 4, 6])
def test_starting_later_gives_the_later_batches(dataset: Path, start: int) -> None:
    # Four batches an epoch: within the first, at its end, within the second.
    assert_same(first_batches(dataset, 9)[start:], first_batches(dataset, 9 - start, start=start))


def test_a_batch_is_uint8_with_label_and_place_in_the_epoch(dataset: Path) -> None:
    batches = first_batches(dataset, 8)
    for batch in batches:
        assert {name: (x.shape, x.dtype) for name, x in batch.items()} == {
            "image": ((8, 32, 32, 3), np.uint8),
            "label": ((8,), np.int32),
            "index": ((8,), np.int32),
        }
    for epoch in (batches[:4], batches[4:]):
        np.testing.assert_array_equal(np.concatenate([batch["index"] for batch in epoch]), np.arange(32))


def test_an_epoch_takes_no_photo_twice_and_the_next_is_shuffled_anew(dataset: Path) -> None:
    """Whole photos instead of crops differ in their pixels."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(dataset))
    records = tfds.as_numpy(builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()}))
    stored = [Image.open(io.BytesIO(record["image"])).resize((32, 32), Image.Resampling.BILINEAR) for record in records]
    pixels = np.stack([np.asarray(image, int) for image in stored])

    data = open_records(dataset, tiny_config(augment=AugmentConfig(crop_min_area=1.0)))
    assert data.steps_per_epoch == 4
    batches = list(itertools.islice(data.train_batches(0), 8))
    orders = []
    for epoch in (batches[:4], batches[4:]):
        images = np.concatenate([batch["image"] for batch in epoch]).astype(int)
        distances = np.abs(images[:, None] - pixels[None]).mean(axis=(2, 3, 4))
        # A column or row may be missing; other photos are 50 levels away.
        assert distances.min(axis=1).max() < 6
        orders.append(distances.argmin(axis=1).tolist())
    assert [len(set(order)) for order in orders] == [32, 32]
    assert orders[0] != orders[1]


def test_evaluation_sees_every_photo_once_padded_and_masked(dataset: Path) -> None:
    data = open_records(dataset, tiny_config())
    batches = list(data.eval_batches("val"))
    assert [batch["mask"].sum() for batch in batches] == [8, 4]
    assert {batch["image"].shape for batch in batches} == {(8, 32, 32, 3)}
    labels = np.concatenate([batch["label"][batch["mask"] == 1] for batch in batches])
    np.testing.assert_array_equal(np.bincount(labels), [4, 4, 4])
    assert_same(batches, list(data.eval_batches("val")))


@pytest.mark.parametrize(("fraction", "size"), [(0.9, 32), (1.0, 32), (0.5, 48), (1.0, 48)])
def test_evaluation_and_prediction_crop_alike(dataset: Path, fraction: float, size: int) -> None:
    import tensorflow_datasets as tfds

    config = tiny_config(data=DataConfig(image_size=size, eval_crop_fraction=fraction), batch_size=12)
    [batch] = open_records(dataset, config).eval_batches("val")
    builder = tfds.builder_from_directory(str(dataset))
    records = tfds.as_numpy(builder.as_dataset(split="val", decoders={"image": tfds.decode.SkipDecoding()}))
    for ours, record in zip(batch["image"], records, strict=True):
        theirs = photo.central_crop(Image.open(io.BytesIO(record["image"])), fraction, size)
        difference = np.abs(ours.astype(int) - theirs)
        # Two JPEG decoders and two resizers: a level or two of 255.
        assert difference.mean() < 1
        assert difference.max() <= 4


def test_what_the_data_set_says_of_itself(dataset: Path) -> None:
    data = open_records(dataset, tiny_config())
    assert data.species == SPECIES
    assert [data.num_photos(split) for split in ("train", "val", "test", "none")] == [36, 12, 12, 0]


def test_a_data_set_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match="is damaged, or was not built by this version of butterflyer_jax"):
        open_records(tmp_path, tiny_config())


def test_a_label_changed_in_an_index_and_a_shard_that_is_gone(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    [index] = copy.glob("*-train.index-*")
    content = np.load(index)
    content["label"][7] = (content["label"][7] + 1) % len(SPECIES)
    np.save(index, content)
    with pytest.raises(UserError, match=r"the index of train has other labels than the data card; copy the data set"):
        open_records(copy, tiny_config())
    shutil.copy(dataset / index.name, index)
    [shard] = copy.glob("*-train.tfrecord-*")
    shard.unlink()
    with (
        contextlib.closing(open_records(copy, tiny_config())) as data,
        pytest.raises(UserError, match=rf"^{shard} is damaged or missing: copy the data set again, or remove"),
    ):
        next(data.train_batches(0))


def test_a_batch_larger_than_the_data_is_refused(dataset: Path) -> None:
    with pytest.raises(UserError, match="batch_size = 64 is more than the 36 training photos"):
        open_records(dataset, tiny_config(batch_size=64))


def test_positions_are_honoured_or_refused(dataset: Path) -> None:
    saved = open_records(dataset, tiny_config()).position(6).to_json()
    assert (saved["epoch"], saved["batch"]) == (1, 2)
    open_records(dataset, tiny_config()).position(6).check(saved)
    with pytest.raises(UserError, match="batch_size 8 -> 4"):
        open_records(dataset, tiny_config(batch_size=4)).position(6).check(saved)
    with pytest.raises(UserError, match="other photos, or built in another way"):
        dataclasses.replace(Position(**saved), dataset="another").check(saved)
    with pytest.raises(UserError, match="version 2 -> 3"):
        dataclasses.replace(Position(**saved), version=3).check(saved)


def test_epochs_follow_each_other_from_any_step() -> None:
    def epoch(number: int, start: int):  # noqa: ANN202
        return iter([{"x": np.array([number, batch])} for batch in range(start, 3)])

    seen = [tuple(batch["x"]) for batch in itertools.islice(batches_from(epoch, 3, 4), 5)]
    assert seen == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_fake_data_has_the_face_of_records(dataset: Path) -> None:
    fake, real = FakeData(tiny_config()), open_records(dataset, tiny_config())
    ours, theirs = next(fake.train_batches(0)), next(real.train_batches(0))
    assert {n: (x.shape, x.dtype) for n, x in ours.items()} == {n: (x.shape, x.dtype) for n, x in theirs.items()}
    ours, theirs = next(iter(fake.eval_batches("val"))), next(iter(real.eval_batches("val")))
    assert {n: (x.shape, x.dtype) for n, x in ours.items()} == {n: (x.shape, x.dtype) for n, x in theirs.items()}
    assert sum(batch["mask"].sum() for batch in fake.eval_batches("val")) == fake.num_photos("val")
    assert_same(list(itertools.islice(fake.train_batches(2), 1)), list(itertools.islice(fake.train_batches(0), 3))[2:])
    wanted = {name for name in (*vars(protocol.Data), *protocol.Data.__annotations__) if not name.startswith("_")}
    assert {"species", "train_batches", "bottleneck"} < wanted
    assert wanted <= {*dir(real)} & {*dir(fake)}
