"""Decoded photos, in memory and on the disk, and the records that they are decoded from."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import UserError
from butterflyer_jax.data import shard_format
from butterflyer_jax.data.input import pixel_cache
from butterflyer_jax.data.input.shard_reader import Photos, Reader
from butterflyer_jax.storage.folder import LocalFiles
from tests.conftest import ROOT


def shard_names(folder: Path, split: str = "train") -> list[str]:
    return sorted(path.name for path in folder.glob(f"butterflies-{split}.tfrecord-*"))


def open_photos(folder: Path, split: str = "train") -> Photos:
    info = json.loads((folder / "dataset_info.json").read_text())
    [lengths] = [of["shardLengths"] for of in info["splits"] if of["name"] == split]
    return Photos(LocalFiles(folder), shard_names(folder, split), [int(length) for length in lengths])


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def test_the_index_holds_what_the_records_hold(dataset: Path) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(dataset))
    stored = tfds.as_numpy(
        builder.as_dataset(
            split="train",
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
    )
    photos = open_photos(dataset)
    assert len(photos) == 36
    for number, record in enumerate(stored):
        assert Reader(photos).jpeg(number) == record["image"]
        assert photos.label[number] == record["label"]
        assert photos.photo_ids[number] == record["photo_id"].decode()
        image = Image.open(io.BytesIO(record["image"]))
        assert (photos.width[number], photos.height[number]) == image.size
    assert number == 35


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_rows_are_those_of_the_photo(dataset: Path, tmp_path: Path, where: str) -> None:
    photos = open_photos(dataset)
    pixels = (
        pixel_cache.in_memory(photos, 2, "train")
        if where == "memory"
        else pixel_cache.on_disk(photos, 2, "train", tmp_path / "raw" / "train.rgb")
    )
    for number in (0, 17, 35):
        whole = np.asarray(Image.open(io.BytesIO(Reader(photos).jpeg(number))))
        np.testing.assert_array_equal(pixels.rows(number, 0, len(whole)), whole)
        np.testing.assert_array_equal(pixels.rows(number, 5, 7), whole[5:12])
    pixels.close()


def test_the_file_is_made_once_and_again_where_it_is_cut_short(dataset: Path, tmp_path: Path) -> None:
    photos, path = open_photos(dataset), tmp_path / "train.rgb"
    pixel_cache.on_disk(photos, 1, "train", path).close()
    first = path.stat().st_mtime_ns
    pixel_cache.on_disk(photos, 1, "train", path).close()
    assert path.stat().st_mtime_ns == first
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    pixel_cache.on_disk(photos, 1, "train", path).close()
    assert path.read_bytes() == content


def test_a_flipped_bit_is_found_and_the_photo_decoded_anew(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, path = open_photos(dataset), tmp_path / "train.rgb"
    pixel_cache.on_disk(photos, 1, "train", path).close()
    content = path.read_bytes()
    places = [0, *np.random.default_rng(0).integers(0, len(content), 20), len(content) - 1]
    for place in map(int, places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        capsys.readouterr()
        pixels = pixel_cache.on_disk(photos, 1, "train", path)
        for _ in range(2):
            for number in range(len(photos)):
                start = int(pixels._offset[number])
                rows = pixels.rows(number, 3, 20)
                width = rows.shape[1]
                assert rows.tobytes() == content[start + 9 * width : start + 69 * width]
        pixels.close()
        assert capsys.readouterr().err.count(f"{path} is damaged, at photo ") == 1
        assert path.read_bytes() == content


def test_a_damaged_cache_that_cannot_be_written_is_decoded_by_each_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, path = open_photos(dataset), tmp_path / "train.rgb"
    pixel_cache.on_disk(photos, 1, "train", path).close()
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pixel_cache, "_write_at", refuse)
    pixels = pixel_cache.on_disk(photos, 1, "train", path)
    for number in (0, 35):
        rows = pixels.rows(number, 0, 10)
        start = int(pixels._offset[number])
        assert rows.tobytes() == content[start : start + rows.size]
    pixels.close()
    assert not any(path.read_bytes())


def test_a_kill_while_decoding_leaves_nothing_that_is_taken_for_whole(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.rgb"
    code = f"""
import os, signal
from butterflyer_jax.data.input import pixel_cache
from tests.data.input.test_pixel_cache import open_photos
from pathlib import Path
write = pixel_cache._write_at
def write_and_die(*args):
    write(*args)
    os.kill(os.getpid(), signal.SIGKILL)
pixel_cache._write_at = write_and_die
pixel_cache.on_disk(open_photos(Path({os.fspath(dataset)!r})), 1, "train", Path({os.fspath(path)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -signal.SIGKILL
    assert not path.exists()
    assert len(list(tmp_path.glob(".train.rgb.*"))) == 1
    photos = open_photos(dataset)
    pixel_cache.on_disk(photos, 1, "train", path).close()
    assert path.stat().st_size == pixel_cache.file_bytes(photos)
    assert {file.name for file in tmp_path.iterdir()} == {"train.rgb", "train.rgb.lock"}


def test_too_small_a_disk_is_reported_before_the_work(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"cannot write .* GiB of decoded photos .* space.*data\.mode=jpeg"):
        pixel_cache.on_disk(open_photos(dataset), 1, "train", tmp_path / "train.rgb")
    assert not (tmp_path / "train.rgb").exists()


def test_a_flipped_bit_is_reported(copy: Path) -> None:
    [name] = shard_names(copy)
    content = bytearray((copy / name).read_bytes())
    content[content.index(Reader(open_photos(copy)).jpeg(3)) + 500] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is damaged or missing: copy the data set again"):
        pixel_cache.in_memory(open_photos(copy), 2, "train")


def test_a_shard_cut_short_is_reported(copy: Path) -> None:
    [name] = shard_names(copy)
    os.truncate(copy / name, 100)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        Reader(open_photos(copy)).jpeg(0)


def test_a_shard_that_is_gone_is_reported(copy: Path) -> None:
    [name] = shard_names(copy)
    photos = open_photos(copy)
    (copy / name).unlink()
    with pytest.raises(UserError, match=f"{name} is damaged or missing: copy the data set again"):
        Reader(photos).jpeg(0)


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "other", "short", "no species", "cut", "few names"])
def test_an_index_that_is_no_index_is_reported(copy: Path, damage: str) -> None:
    from butterflyer_jax import Config
    from butterflyer_jax.data.input.record_data import RecordData

    [name] = shard_names(copy)
    index = copy / shard_format.index_name(name)
    match damage:
        case "gone":
            index.unlink()
        case "garbage":
            index.write_bytes(b"garbage")
        case "empty":
            index.write_bytes(b"")
        case "cut":
            index.write_bytes(index.read_bytes()[:-1])
        case "few names":
            table = np.load(index)
            with index.open("wb") as file:
                shard_format.write_index(file, [tuple(entry) for entry in table.tolist()], ["A/1.jpg"])
        case "other":
            np.save(index, np.zeros(3))
        case "short":
            np.save(index, np.load(index)[:-1])
        case _:
            table = np.load(index)
            table["label"][0] = 3
            np.save(index, table)
    with pytest.raises(UserError, match="is damaged, or was not built by this version of butterflyer_jax"):
        RecordData(copy, Config(batch_size=8))
