"""Photos of one specimen, session or burst share a split."""

from __future__ import annotations

import dataclasses
import io
import json
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import build, photo
from butterflyer_jax.data.ingest import copies, exif, groups
from butterflyer_jax.data.ingest.photo_tasks import Prepared
from tests.conftest import SPECIES, encode, make_photo, make_zip

SMALL = BuildConfig(image_size=32)
OBSERVATIONS, FRAMES = 6, 3


def members(pattern: str, with_exif: bool = False) -> dict[str, bytes]:
    """Returns frames of observations, all of other pixels."""
    photos = {}
    for label, species in enumerate(SPECIES):
        for observation in range(OBSERVATIONS):
            for frame in range(FRAMES):
                name = pattern.format(s=species, k=label, o=observation, f=frame)
                data = make_photo(1000 * label + 10 * observation + frame)
                photos[name] = stamped(data, f"2020:05:17 1{observation}:00:0{frame}") if with_exif else data
    return photos


def stamped(data: bytes, taken: str) -> bytes:
    image = Image.open(io.BytesIO(data))
    tags = Image.Exif()
    tags[271], tags[272] = "Nikon", "D750"
    tags.get_ifd(0x8769)[36867] = taken
    return encode(image, exif=tags)


def built(tmp_path: Path, files: dict[str, bytes], config: BuildConfig = SMALL) -> tuple[dict, dict[str, str]]:
    folder = Path(build.build(make_zip(tmp_path / "raw.zip", files), tmp_path / "out", config))
    card = json.loads((folder / "data_card.json").read_text())
    split_of = {}
    for split in ("train", "val", "test"):
        for line in (folder / f"{split}.csv").read_text().splitlines()[1:]:
            split_of[line.split(",")[0]] = split
    return card, split_of


def straddling(split_of: dict[str, str], observation_of: dict[str, str]) -> int:
    splits = defaultdict(set)
    for name, split in split_of.items():
        splits[observation_of[name]].add(split)
    return sum(len(found) > 1 for found in splits.values())


def test_a_column_of_observations(tmp_path: Path) -> None:
    files = members("{k}{o}{f}.jpg")
    rows = [f"{name},{SPECIES[int(name[0])]},obs {name[:2]}" for name in files]
    files["labels.csv"] = "\n".join(["filename,label,observation_id", *rows]).encode()
    card, split_of = built(tmp_path, files)
    assert card["groups"] == {"by": ["observation_id"], "groups": 18, "photos": 54, "across_splits": 0}
    assert straddling(split_of, {name: name[:2] for name in split_of}) == 0
    assert card["splits"]["test"] >= 9
    # Without groups they straddle.
    none = dataclasses.replace(SMALL, group_column="none")
    card, split_of = built(tmp_path, files, none)
    assert straddling(split_of, {name: name[:2] for name in split_of}) > 3
    assert card["groups"]["by"] == []


def test_bursts_of_a_camera(tmp_path: Path) -> None:
    files = members("{s}/{k}{o}{f}.jpg", with_exif=True)
    card, split_of = built(tmp_path, files)
    assert card["groups"] == {"by": ["camera and time (EXIF)"], "groups": 18, "photos": 54, "across_splits": 0}
    assert straddling(split_of, {name: name[:-5] for name in split_of}) == 0


def test_numbered_names_are_offered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = members("{s}/walk{o}_{f}.jpg")
    card, _ = built(tmp_path, files)
    assert "look like 18 series of one observation each: build.bursts=name" in card["notes"][0]
    assert "build.bursts=name" in capsys.readouterr().err
    card, split_of = built(tmp_path, files, dataclasses.replace(SMALL, bursts="name"))
    assert straddling(split_of, {name: name[:-6] for name in split_of}) == 0
    assert card["groups"]["by"] == ["numbered names"]
    # A film of one species is no observation.
    card, _ = built(
        tmp_path, {name.replace("walk", "walk_"): data for name, data in members("{s}/x_{o}{f}.jpg").items()}
    )
    assert not card["notes"]


def test_groups_that_leave_nothing_to_test_with(tmp_path: Path) -> None:
    files = members("{k}{o}{f}.jpg")
    rows = [f"{name},{SPECIES[int(name[0])]},{name[0]}" for name in files]
    files["labels.csv"] = "\n".join(["filename,label,specimen", *rows]).encode()
    with pytest.raises(UserError, match=r"groups by specimen are too few to split.*build\.group_column=none"):
        built(tmp_path, files)
    files["labels.csv"] = files["labels.csv"].replace(b",specimen", b",site")
    card, _ = built(tmp_path, files)
    assert "of one site form too few groups to split most species (3)" in card["notes"][0]


def test_folders_of_sessions(tmp_path: Path) -> None:
    card, split_of = built(tmp_path, members("{s}/session {o}/{f}.jpg"))
    assert card["groups"]["by"] == ["folders"]
    sessions = {name: name.split("/")[1] for name in split_of}
    assert straddling(split_of, sessions) == 0


def test_camera_and_time() -> None:
    data = stamped(make_photo(1), "2020:05:17 10:22:31")
    assert captured(data) == "Nikon D750|2020-05-17T10:22:31.0"
    start = data.index(b"Exif")
    damaged = data[: start + 14] + b"\xff" * 20 + data[start + 34 :]
    for other in (make_photo(1), damaged, stamped(make_photo(1), "0000:00:00 00:00:00")):
        assert captured(other) == ""


def captured(data: bytes) -> str:
    return exif.captured(photo.load(data, 32, 10**6)[1].exif)


MARKS = [
    ("{}", "{}_small", "{}-150x150", "large/{}", "thumb_{}"),
    ("{}", "{}_flip", "{}_rot90", "aug_0_{}", "augmented/{}_aug_3", "{} (edited)"),
    ("{}_jpg.rf.0a1b2c", "{}_jpg.rf.ff00aa"),
    ("IMG_00{}", "IMG_E00{}"),
]


@pytest.mark.parametrize("marks", MARKS)
def test_copies_of_a_photo_by_their_names_share_a_split(marks: tuple[str, ...]) -> None:
    origin = {f"{s}/{mark.format(n)}.jpg": (s, n) for s in SPECIES for n in range(10, 16) for mark in marks}
    photos = [
        Prepared(name, origin[name][0], None, f"{n}", "", 9, 9, "", "", 9, 9, [0.5] * 3, [0.3] * 3, "", 0, 9)
        for n, name in enumerate(sorted(origin))
    ]
    joined = groups.join(photos, range(len(photos)), {}, "exif", chosen=False)
    pairs = {(origin[one.photo_id], group) for one, group in zip(photos, joined.names, strict=True)}
    assert len(pairs) == len(set(joined.names)) == len(photos) // len(marks)
    assert joined.by == [groups.COPIES]
    assert joined.notes[0].startswith(f"{len(photos)} photos look like sizes, edited or augmented versions of others")


def test_names_of_photos_that_are_no_copies() -> None:
    names = [
        "a/dorsal_1.jpg",
        "a/dorsal_2.jpg",
        "a/aug_3.jpg",
        "b/3.jpg",
        "a/dark.jpg",
        "a/small.jpg",
        "a/Rotkehl 3.jpg",
    ]
    assert copies.keys(names, [name[0] for name in names]) == [None] * len(names)


def test_versions_in_other_splits_are_found_unless_each_split_counts_anew() -> None:
    names = ["train/a/1.jpg", "train/a/2_flip.jpg", "test/a/2.jpg", "test/a/1_rot90.jpg", "test/a/3.jpg"]
    found = copies.keys(names, ["a"] * 5)
    assert found[0] == found[3] != found[1] == found[2] is not None
    assert found[4] is None
    anew = ["train/a/1.jpg", "train/a/1_flip.jpg", "test/a/1.jpg", "test/a/1_flip.jpg"]
    found = copies.keys(anew, ["a"] * 4)
    assert found[0] == found[1] != found[2] == found[3]
