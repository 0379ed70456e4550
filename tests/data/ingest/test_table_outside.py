"""A table of labels that lies outside the zip or the folder, named by its path in `build.table`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import manifest
from butterflyer_jax.data.ingest.collection import Listing
from butterflyer_jax.data.ingest.raw_zip import list_source
from tests.conftest import make_zip

NAMES = [f"{day}/IMG_{number}.jpg" for day in ("monday", "tuesday") for number in range(3)]
LABELS = dict(zip(NAMES, ("Monarch", "Peacock") * 3, strict=True))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "photos", dict.fromkeys(NAMES, b"x"))


def make_folder(folder: Path, members: Mapping[str, bytes]) -> Path:
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write(path: Path, labels: Mapping[str, str] = LABELS) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("filename,label\n" + "".join(f"{name},{label}\n" for name, label in labels.items()))
    return path


def labels_of(listing: Listing) -> dict[str, str]:
    return {member.name: member.species for member in listing.members}


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_it_labels_photos_in_place_of_their_folders_and_tables(tmp_path: Path, photos: Path, kind: str) -> None:
    (photos / "labels.csv").write_text("filename,label\nmonday/IMG_0.jpg,Wrong\nmonday/IMG_1.jpg,Other\n")
    source = photos
    if kind == "zip":
        files = {str(path.relative_to(photos)): path.read_bytes() for path in photos.rglob("*.*")}
        source = make_zip(tmp_path / "photos.zip", files)
    table = write(tmp_path / "elsewhere" / "labels.csv")
    assert labels_of(list_source(source, BuildConfig(table=str(table), layout="table"))) == LABELS
    assert set(labels_of(list_source(source, BuildConfig(table="labels.csv", layout="table"))).values()) == {
        "Wrong", "Other",
    }  # fmt: skip


def test_its_content_counts_and_not_its_place(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "photos.zip", dict.fromkeys(NAMES, b"x"))

    def fingerprint(table: Path) -> str:
        config = BuildConfig(table=str(table), layout="table")
        return manifest.fingerprint(list_source(source, config), config)

    table = write(tmp_path / "a" / "labels.csv")
    first = fingerprint(table)
    assert fingerprint(write(tmp_path / "b" / "labels.csv")) == first
    # The listing of a local zip is kept, and its table may change: the same size, within the resolution of its time.
    times = table.stat()
    write(table, {name: {"Monarch": "Peacock", "Peacock": "Monarch"}[label] for name, label in LABELS.items()})
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint(table) != first


def test_one_in_the_folder_by_its_path_is_that_of_the_folder(photos: Path) -> None:
    (photos / "meta").mkdir()
    rows = {f"../{name}": label for name, label in LABELS.items()}
    table = write(photos / "meta" / "labels.csv", rows)
    listing = list_source(photos, BuildConfig(table=str(table), layout="table"))
    assert labels_of(listing) == LABELS
    assert listing.fingerprint == list_source(photos, BuildConfig(table="meta/labels.csv", layout="table")).fingerprint


def test_the_same_questions_are_asked_and_answered(tmp_path: Path, photos: Path) -> None:
    table = tmp_path / "survey.csv"
    rows = [f"{name},{'Ann' if n < 3 else 'Bob'},{label}" for n, (name, label) in enumerate(LABELS.items())]
    table.write_text("\n".join(["filename,taxon,species", *rows, ""]))
    config = BuildConfig(table=str(table), layout="table")
    with pytest.raises(UserError, match=r"the label may be .* or .* in .*survey\.csv: choose one with build\.label_"):
        list_source(photos, config)
    chosen = BuildConfig(table=str(table), layout="table", label_column="species")
    assert labels_of(list_source(photos, chosen)) == LABELS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, r"no such table: .*gone\.csv"),
        ("old.xls", b"x", r"old\.xls: an old Excel file is not read: save it as CSV"),
        ("labels.doc", b"x", r"labels\.doc: no table has this suffix"),
        ("list.csv", b"a word\nand another\n", r"list\.csv cannot be used: no table"),
        ("other.csv", b"name,age\nAnn,12\nBob,13\n", r"build\.layout=table: .*other\.csv: no row names a file"),
        ("damaged.xlsx", b"PK\3\4", r"cannot read .*damaged\.xlsx: "),
    ],
)
def test_what_is_no_table_of_labels_is_refused(
    tmp_path: Path, photos: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        list_source(photos, BuildConfig(table=str(tmp_path / name), layout="table"))


def test_a_data_set_stays_the_same_when_its_table_moves(tmp_path: Path) -> None:
    from butterflyer_jax.data.build import build
    from tests.conftest import make_photo

    folder = make_folder(tmp_path / "photos", {f"{n}.jpg": make_photo(n) for n in range(6)})
    labels = {f"{n}.jpg": ("Monarch", "Peacock")[n % 2] for n in range(6)}
    built = []
    for place in ("a", "b"):
        table = write(tmp_path / place / "labels.csv", labels)
        config = BuildConfig(table=str(table), layout="table", image_size=32)
        built.append(build(folder, tmp_path / "records", config))
        shutil.rmtree(table.parent)
    assert built[0] == built[1]
