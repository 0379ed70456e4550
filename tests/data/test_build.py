"""The builder from Python: what goes in, what comes out, and that nothing is lost between."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import logging
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import build
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.storage import paths
from tests.conftest import SPECIES, encode, folder_members, make_photo, make_zip

SMALL = BuildConfig(image_size=32)


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def read_records(folder: Path, split: str) -> list[dict]:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    return list(tfds.as_numpy(builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})))


def test_every_photo_is_in_one_split_once(dataset: Path, raw_zip: Path) -> None:
    card = json.loads((dataset / "data_card.json").read_text())
    assert card["members"] == card["photos"] == 60
    assert card["rejects"] == card["ignored"] == card["missing"] == 0
    assert card["species"] == {name: {"train": 12, "val": 4, "test": 4} for name in SPECIES}

    seen = Counter()
    for split in ("train", "val", "test"):
        rows = read_csv(dataset / f"{split}.csv")
        assert rows[0] == ["photo_id", "label"]
        records = read_records(dataset, split)
        assert sorted(tuple(row) for row in rows[1:]) == sorted(
            (record["photo_id"].decode(), SPECIES[record["label"]]) for record in records
        )
        for record in records:
            assert record["photo_id"].decode().startswith(SPECIES[record["label"]] + "/")
            image = Image.open(io.BytesIO(record["image"]))
            assert (image.format, min(image.size)) == ("JPEG", 48)
            seen[record["photo_id"]] += 1
    assert len(seen) == 60
    assert set(seen.values()) == {1}


def test_the_pixels_are_the_photos(dataset: Path) -> None:
    for record in read_records(dataset, "val"):
        species, file = record["photo_id"].decode().split("/")
        original = Image.open(io.BytesIO(make_photo(1000 * SPECIES.index(species) + int(file[:3]))))
        stored = Image.open(io.BytesIO(record["image"]))
        expected = original.resize(stored.size, Image.Resampling.LANCZOS)
        # Compression costs a few levels; another photo is 60 away.
        assert np.abs(np.asarray(stored, int) - np.asarray(expected, int)).mean() < 5


def test_rejects_are_listed_and_the_rest_continues(tmp_path: Path) -> None:
    damaged = {"Red Edge/text.jpg": b"hello", "Red Edge/cut.jpg": make_photo(1)[:300], "Red Edge/empty.jpg": b""}
    raw = make_zip(tmp_path / "raw.zip", folder_members(10) | damaged | {"readme.txt": b"x"})
    folder = Path(build.build(raw, tmp_path / "out", dataclasses.replace(SMALL, max_reject_fraction=0.1)))
    card = json.loads((folder / "data_card.json").read_text())
    assert (card["members"], card["photos"], card["rejects"], card["ignored"]) == (34, 30, 3, 1)
    rows = dict(map(tuple, read_csv(folder / "rejects.csv")[1:]))
    assert set(rows) == set(damaged)
    assert rows["Red Edge/empty.jpg"] == "zero bytes"
    assert all("not decodable" in rows[f"Red Edge/{name}.jpg"] for name in ("text", "cut"))


def test_too_many_rejects_stop_the_build_and_leave_nothing(tmp_path: Path) -> None:
    bad = {f"Red Edge/bad{n}.jpg": b"hello" for n in range(12)}
    raw = make_zip(tmp_path / "raw.zip", folder_members(10) | bad)
    with pytest.raises(UserError) as error:
        build.build(raw, tmp_path / "out", SMALL)
    message = str(error.value)
    assert "12 of 42 photos cannot be used" in message
    assert re.search(r"12 like .*bad0.jpg: not decodable: no image format recognised$", message), "causes, with counts"
    with pytest.raises(UserError, match="no data set"):
        dataset_lib.find_dataset(tmp_path / "out")


def test_a_damaged_member_of_the_zip_is_a_reject(tmp_path: Path) -> None:
    raw = make_zip(tmp_path / "raw.zip", folder_members(10))
    data = bytearray(raw.read_bytes())
    # One byte in the middle of the first photo: its checksum no longer fits.
    data[200] ^= 0xFF
    raw.write_bytes(data)
    folder = Path(build.build(raw, tmp_path / "out", SMALL))
    [[member, reason]] = read_csv(folder / "rejects.csv")[1:]
    assert member == "Blue Stripe/000.jpg"
    assert "damaged in the zip" in reason


def test_one_species_is_refused(tmp_path: Path) -> None:
    raw = make_zip(tmp_path / "raw.zip", {f"Monarch/{n}.jpg": make_photo(n) for n in range(5)})
    with pytest.raises(UserError, match="only one species"):
        build.build(raw, tmp_path / "out", SMALL)


def test_the_same_zip_gives_the_same_records_in_any_order(tmp_path: Path) -> None:
    members = folder_members(8)
    for name, order in {"one": list(members), "two": list(members)[::-1]}.items():
        build.build(make_zip(tmp_path / f"{name}.zip", {m: members[m] for m in order}), tmp_path / name, SMALL)
    files = [
        {f.name: f.read_bytes() for f in (tmp_path / name).rglob("*") if f.suffix == ".csv" or "tfrecord" in f.name}
        for name in ("one", "two")
    ]
    # Three shards, and six lists.
    assert len(files[0]) == 9
    assert files[0] == files[1]


def test_copies_of_a_photo_share_a_split(tmp_path: Path) -> None:
    members = folder_members(20)
    copies = {name.replace(".jpg", " copy.jpg"): data for name, data in members.items()}
    folder = Path(build.build(make_zip(tmp_path / "raw.zip", members | copies), tmp_path / "out", SMALL))
    split_of = {row[0]: split for split in ("train", "val", "test") for row in read_csv(folder / f"{split}.csv")[1:]}
    assert all(split_of[name] == split_of[name.replace(".jpg", " copy.jpg")] for name in members)


def test_a_csv_with_splits_is_honoured(tmp_path: Path) -> None:
    members = {name.replace("/", "_"): data for name, data in folder_members(6).items()}
    splits = ["train", "train", "train", "train", "val", "test"]
    rows = [f"{name},{name.split('_')[0]},{splits[i % 6]}" for i, name in enumerate(members)]
    table = "\n".join(["filename,label,split", *rows]).encode()
    raw = make_zip(tmp_path / "raw.zip", {f"pictures/{n}": d for n, d in members.items()} | {"labels.csv": table})
    folder = Path(build.build(raw, tmp_path / "out", SMALL))
    card = json.loads((folder / "data_card.json").read_text())
    assert card["species"] == {name: {"train": 4, "val": 1, "test": 1} for name in SPECIES}
    assert {row[0][-7:-4] for row in read_csv(folder / "test.csv")[1:]} == {"005"}


def test_a_species_with_one_photo_trains_and_is_named(tmp_path: Path) -> None:
    raw = make_zip(tmp_path / "raw.zip", folder_members(6) | {"Rare One/1.jpg": make_photo(9999)})
    card = json.loads((Path(build.build(raw, tmp_path / "out", SMALL)) / "data_card.json").read_text())
    assert card["species"]["Rare One"] == {"train": 1, "val": 0, "test": 0}
    assert card["only_in_train"] == ["Rare One"]


def test_shards_as_asked(tmp_path: Path, raw_zip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        # It takes seconds to import: records are written without it.
        without.setitem(sys.modules, "tensorflow", None)
        folder = Path(build.build(raw_zip, tmp_path / "out", dataclasses.replace(SMALL, num_shards=3)))
    assert len(list(folder.glob("butterflies-train.tfrecord-*-of-00003"))) == 3
    assert len(read_records(folder, "train")) == 42


def test_the_cache_is_by_content_and_config(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "cache"))
    raw = make_zip(tmp_path / "raw.zip", folder_members(6))
    first = build.build_cached(raw, SMALL)
    assert "preparing photos: 18 of 18" in capsys.readouterr().err
    loud = [record.name for record in caplog.records if record.levelno >= logging.WARNING]
    assert not loud, "libraries warn of nothing, in a notebook either"
    moved = raw.rename(tmp_path / "moved.zip")
    assert build.build_cached(moved, SMALL) == first
    assert "preparing" not in capsys.readouterr().err, "built once"
    assert build.build_cached(moved, dataclasses.replace(SMALL, jpeg_quality=80)) != first
    make_zip(moved, folder_members(7))
    assert build.build_cached(moved, SMALL) != first
    (first / "dataset_info.json").write_text("")
    make_zip(moved, folder_members(6))
    with pytest.raises(UserError, match=r"is damaged \(.*\): remove that folder, and run the same command again"):
        build.build_cached(moved, SMALL)


def test_find_dataset_says_what_is_there(tmp_path: Path, dataset: Path) -> None:
    assert dataset_lib.find_dataset(dataset) == dataset
    assert dataset_lib.find_dataset(dataset.parent.parent) == dataset
    with pytest.raises(UserError, match="no such input"):
        dataset_lib.find_dataset(tmp_path / "none")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / dataset_lib.INFO_FILE).write_text("{}")
    with pytest.raises(UserError, match="several data sets"):
        dataset_lib.find_dataset(tmp_path)


def test_the_default_config_builds_too(tmp_path: Path, raw_zip: Path) -> None:
    folder = Path(build.build(raw_zip, tmp_path / "out"))
    [first, *_] = read_records(folder, "train")
    assert min(Image.open(io.BytesIO(first["image"])).size) == 256


def test_another_zip_into_the_same_folder_is_another_data_set(tmp_path: Path, raw_zip: Path) -> None:
    first = build.build(raw_zip, tmp_path / "out", SMALL)
    other = make_zip(tmp_path / "other.zip", {f"New {n % 2}/{n}.jpg": make_photo(n) for n in range(12)})
    second = build.build(other, tmp_path / "out", SMALL)
    assert first != second
    assert set(json.loads((second / "data_card.json").read_text())["species"]) == {"New 0", "New 1"}


def test_rows_without_a_file_count_as_rejects(tmp_path: Path) -> None:
    rows = "".join(f"{n}.jpg,{'Red' if n % 2 else 'Blue'}\n" for n in range(20))
    members = {f"{n}.jpg": make_photo(n) for n in range(12)} | {"l.csv": f"filename,label\n{rows}".encode()}
    with pytest.raises(UserError, match="8 of 20 photos cannot be used"):
        build.build(make_zip(tmp_path / "raw.zip", members), tmp_path / "out", SMALL)


def test_png_members_become_jpeg_records(tmp_path: Path) -> None:
    members = {
        name.replace(".jpg", ".png"): encode(Image.open(io.BytesIO(data)), "PNG")
        for name, data in folder_members(5).items()
    }
    folder = Path(build.build(make_zip(tmp_path / "raw.zip", members), tmp_path / "out", SMALL))
    assert {Image.open(io.BytesIO(r["image"])).format for r in read_records(folder, "train")} == {"JPEG"}


def test_brackets_in_the_folder_are_no_pattern(tmp_path: Path, raw_zip: Path) -> None:
    folder = build.build(raw_zip, tmp_path / "data [1]*", SMALL)
    before = (folder / "dataset_info.json").stat().mtime
    assert build.build(raw_zip, tmp_path / "data [1]*", SMALL) == folder
    assert (folder / "dataset_info.json").stat().mtime == before
    assert dataset_lib.find_dataset(tmp_path / "data [1]*") == folder
