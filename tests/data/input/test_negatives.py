"""Negatives in training batches: the same for the same (seed, epoch, index), and as many in each batch."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import Config, UserError
from butterflyer_jax.config import BuildConfig, DataConfig
from butterflyer_jax.data import photo
from butterflyer_jax.data.build import build
from butterflyer_jax.data.input.fake import FakeData
from butterflyer_jax.data.input.position import Batch
from butterflyer_jax.data.input.record_data import RecordData
from tests.conftest import SPECIES, encode, folder_members, make_zip
from tests.data.input.test_record_data import assert_same

NUM_NEGATIVES = 3
BACKGROUND = (250, 20, 230)


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


@pytest.fixture(scope="module")
def with_background(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with photos that show no species: 12 in one colour."""
    plain = encode(Image.new("RGB", (64, 56), BACKGROUND))
    files = folder_members() | {f"background/{number}.jpg": plain for number in range(12)}
    folder = tmp_path_factory.mktemp("background")
    config = BuildConfig(image_size=48, val_fraction=0.2, test_fraction=0.2, negatives="background/*")
    return Path(build(make_zip(folder / "raw.zip", files), folder / "built", config))


def test_photos_of_the_user_are_taken_too(with_background: Path, dataset: Path, nine: list[Batch]) -> None:
    ours = batches(with_background, make_config(), 9)
    of_user = 0
    for batch, without in zip(ours, nine, strict=True):
        plain = np.abs(batch["image"].astype(int) - BACKGROUND).max(axis=(1, 2, 3)) < 8
        assert (batch["label"][plain] == -1).all()
        np.testing.assert_array_equal(batch["image"][~plain], without["image"][~plain])
        of_user += plain.sum()
    assert 5 < of_user < 22, "about half of them"
    assert_same(batches(with_background, make_config(mode="jpeg"), 2, 6), ours[6:8])
    assert_same(
        batches(with_background, make_config(negatives=0.0), 2), batches(dataset, make_config(negatives=0.0), 2)
    )


def test_they_are_no_photos_of_a_split(with_background: Path) -> None:
    data = RecordData(with_background, make_config(num_folds=3, fold=1))
    assert [data.num_photos(split) for split in ("train", "val", "test", "negatives")] == [20, 20, 20, 12]
    assert set(data.labels("negatives").tolist()) == {-1}
    assert data.species == SPECIES
    card = json.loads((with_background / "data_card.json").read_text())
    assert (card["members"], card["photos"], card["negatives"], card["rejects"]) == (72, 60, 12, 0)
    data.close()


def test_a_photo_of_a_species_is_no_negative(tmp_path: Path) -> None:
    photos = folder_members(4)
    raw = make_zip(tmp_path / "raw.zip", photos | {"none/1.jpg": photos["Red Edge/003.jpg"]})
    with pytest.raises(UserError, match=r"none/1\.jpg is among build\.negatives, .* is Red Edge/003\.jpg, of Red Edge"):
        build(raw, tmp_path / "built", BuildConfig(image_size=48, negatives="none/*"))


def test_fake_data_has_them_too() -> None:
    config = make_config()
    [batch] = itertools.islice(FakeData(config).train_batches(3), 1)
    parts = [next(iter(FakeData(config, host, 2).train_batches(3)))["label"] for host in range(2)]
    assert (batch["label"] == -1).sum() == NUM_NEGATIVES
    np.testing.assert_array_equal(np.concatenate(parts), batch["label"])
