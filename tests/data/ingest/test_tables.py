"""Labels in CSV files: which row is about which photo."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest.raw_zip import open_zip, read_listing
from butterflyer_jax.data.ingest.tables import reader, text
from tests.data.ingest.test_layouts import FLAT, SPECIES, labels
from tests.data.ingest.test_raw_zip import listing_of


def test_a_csv_labels_files_in_any_folder(tmp_path: Path) -> None:
    table = "﻿filename,label\r\na.jpg,Red\r\nimages/b b.JPG,Blue\r\ngone.jpg,Red\r\ntwice.jpg,Red\r\n"
    members = {"images/a.jpg": b"x", "images/b b.JPG": b"x", "images/c.jpg": b"x", "labels.csv": table}
    listing = listing_of(tmp_path, members | {"one/twice.jpg": b"x", "two/twice.jpg": b"x"})
    assert [(m.name, m.species) for m in listing.members] == [("images/a.jpg", "Red"), ("images/b b.JPG", "Blue")]
    assert {(r.member, r.reason) for r in listing.rejects} == {
        ("images/c.jpg", "no row in the CSV"),
        ("one/twice.jpg", "a row of labels.csv may be this file or another of that name"),
        ("two/twice.jpg", "a row of labels.csv may be this file or another of that name"),
    }
    assert [(r.member, r.reason) for r in listing.missing] == [
        ("gone.jpg", "labels.csv: no such file in the input"),
        ("twice.jpg", "labels.csv: several files of that name"),
    ]
    assert listing.num_ignored == 1


def test_a_csv_beside_its_pictures_in_a_wrapping_folder(tmp_path: Path) -> None:
    table = "Filename,Label,Split\n1.jpg,Red,train\n2.jpg,Red,valid\n3.jpg,Blue,\n"
    listing = listing_of(tmp_path, {f"set/{n}.jpg": b"x" for n in "123"} | {"set/all.csv": table})
    assert [(m.species, m.split) for m in listing.members] == [("Red", "train"), ("Red", "val"), ("Blue", None)]


def test_a_csv_a_split(tmp_path: Path) -> None:
    tables = {f"{split}.csv": f"filename,label\n{split}.jpg,Red\n" for split in ("train", "val", "test")}
    listing = listing_of(tmp_path, {f"p/{split}.jpg": b"x" for split in ("train", "val", "test")} | tables)
    assert {m.split for m in listing.members} == {"train", "val", "test"}


def test_rows_that_contradict_each_other_and_empty_labels(tmp_path: Path) -> None:
    table = "filename,label\n1.jpg,Red\n1.jpg,Blue\n2.jpg,\n3.jpg,Red\n3.jpg,Red\n"
    listing = listing_of(tmp_path, {f"{n}.jpg": b"x" for n in "123"} | {"l.csv": table})
    assert [m.name for m in listing.members] == ["3.jpg"]
    assert {(r.member, r.reason) for r in listing.rejects} == {
        ("1.jpg", "two different rows in l.csv"),
        ("2.jpg", "empty label in l.csv"),
    }


def test_a_row_with_a_folder_means_that_folder(tmp_path: Path) -> None:
    table = "filename,label\nA/1.jpg,Red\nB/1.jpg,Blue\nC/2.jpg,Red\n"
    listing = listing_of(tmp_path, {"B/1.jpg": b"x", "w/C/2.jpg": b"x", "l.csv": table})
    assert {(m.name, m.species) for m in listing.members} == {("B/1.jpg", "Blue"), ("w/C/2.jpg", "Red")}
    assert [r.member for r in listing.missing] == ["A/1.jpg"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_csv_with_another_delimiter(tmp_path: Path, delimiter: str) -> None:
    table = "filename,label\n1.jpg,Red\n2.jpg,Blue\n".replace(",", delimiter)
    listing = listing_of(tmp_path, {"p/1.jpg": b"x", "p/2.jpg": b"x", "l.csv": table})
    assert {m.species for m in listing.members} == {"Red", "Blue"}


def test_unknown_splits_and_unusable_files_of_rows(tmp_path: Path) -> None:
    table = "filename,label,split\n1.jpg,Red,elsewhere\n2.jpg,Red,\n3.jpg,Red,train\n"
    listing = listing_of(tmp_path, {"1.jpg": b"x", "2.jpg": b"", "3.jpg": b"x", "l.csv": table})
    assert {r.member: r.reason for r in listing.rejects} == {
        "1.jpg": "unknown split 'elsewhere' in l.csv",
        "2.jpg": "zero bytes",
    }
    assert not listing.missing


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("l.jsonl", b'{"file_name": "1.jpg", "label": "Red"}\n{"file_name": '),
        ("l.csv", b"filename,label\n1.jpg,A\n2.jpg," + b"x" * 2_000_000),
        ("l.xlsx", b"PK no spreadsheet"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, name: str, table: bytes) -> None:
    with pytest.raises(UserError, match=rf"cannot read {name}: "):
        listing_of(tmp_path, {"1.jpg": b"x", name: table})


def test_a_csv_of_something_else_is_ignored(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, {"A/1.jpg": b"x", "B/2.jpg": b"x", "weather.csv": "day,rain\n1,2\n"})
    assert len(listing.members) == 2
    assert listing.num_ignored == 1


def test_a_csv_may_spell_names_in_another_case_or_form(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Caf\u00e9.jpg") for form in ("NFC", "NFD"))
    table = f"filename,label\nIMAGES\\one.JPG,Red\n{composed},Blue\n./images/Two.jpg,Red\n"
    members = {"images/One.jpg": b"x", f"images/{decomposed}": b"x", "images/Two.jpg": b"x", "images/two.jpg": b"x"}
    listing = listing_of(tmp_path, members | {"l.csv": table})
    # Of two names that differ in case alone the exact one is meant.
    assert {(m.name, m.species) for m in listing.members} == {
        ("images/One.jpg", "Red"),
        (f"images/{decomposed}", "Blue"),
        ("images/Two.jpg", "Red"),
    }
    assert [(r.member, r.reason) for r in listing.rejects] == [("images/two.jpg", "no row in the CSV")]


def test_a_csv_a_split_beside_folders_of_species(tmp_path: Path) -> None:
    tables = {f"{split}.csv": f"filename,label\nRed/{split}.jpg,Red\n" for split in ("train", "val", "test")}
    photos = {f"Red/{split}.jpg": b"x" for split in ("train", "val", "test")}
    listing = listing_of(tmp_path, {f"set/{name}": data for name, data in (photos | tables).items()})
    assert {(m.name, m.split) for m in listing.members} == {(f"set/Red/{s}.jpg", s) for s in ("train", "val", "test")}


def test_a_table_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_TABLE_BYTES", 10**6)
    with pytest.raises(UserError, match=r"l\.csv is too large"):
        listing_of(tmp_path, {"1.jpg": b"x", "l.csv": "filename,label\n" + "1.jpg,Red\n" * 200_000})


def test_tables_of_windows_and_macos(tmp_path: Path) -> None:
    """A table's own name is read as those of photos are, or train.csv would not be known as such."""
    path = tmp_path / "raw.zip"
    table = b"filename,label\n1.jpg,Red\n2.jpg,Blue\n"
    with zipfile.ZipFile(path, "w") as zip_file:
        for name, data in {"set/1.jpg": b"x", "set/2.jpg": b"x", "set/test.csv": table}.items():
            info = zipfile.ZipInfo(name)
            info.create_system = 0
            zip_file.writestr(info, data)
    path.write_bytes(path.read_bytes().replace(b"set/", b"set\\"))
    with open_zip(path) as zip_file:
        assert {(m.name, m.split) for m in read_listing(zip_file).members} == {
            ("set/1.jpg", "test"),
            ("set/2.jpg", "test"),
        }


@pytest.mark.parametrize(
    "table",
    [
        "filename,label\n1.jpg,Red\n2.jpg,Blue\n".encode("utf-16"),
        b"filename,label\r1.jpg,Red\r2.jpg,Blue\r",
        b"filename,label,note\r\n1.jpg,Red,\r\n,,\r\n2.jpg,Blue,x,y\r\n",
    ],
    ids=["excel", "old mac", "empty and long rows"],
)
def test_tables_of_every_program(tmp_path: Path, table: bytes) -> None:
    listing = listing_of(tmp_path, {"cam/1.jpg": b"x", "cam/2.jpg": b"x", "l.csv": table})
    assert {m.species for m in listing.members} == {"Red", "Blue"}
    assert not listing.missing


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("filename,label\n", "has the columns of a label file, but no rows"),
        ("filename,label,label\n1.jpg,A,B\n", "has several columns label"),
        ("filename,label\n" + "x,y\n" * 5000, "far more than there are files"),
    ],
)
def test_a_label_file_that_cannot_be_meant_is_reported(tmp_path: Path, table: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        listing_of(tmp_path, {"cam/1.jpg": b"x", "l.csv": table})


def test_bytes_that_are_no_text_are_no_table() -> None:
    with pytest.raises(ValueError, match="it is not text"):
        text.decode(bytes(range(256)) * 4, "notes.txt")


@pytest.mark.parametrize("sep", [" ", "\t", ","])
def test_tables_that_r_writes_have_no_header_above_the_names_of_rows(tmp_path: Path, sep: str) -> None:
    truth = {name: SPECIES[int(Path(name).stem) // 10] for name in FLAT}
    lines = [f'"{n + 7}"{sep}"{Path(name).name}"{sep}"{s} Latin"' for n, (name, s) in enumerate(truth.items())]
    table = "\n".join([f'"file"{sep}"species"', *lines])
    listing = listing_of(tmp_path, FLAT | {"labels.txt": table})
    assert labels(listing) == {name: f"{s} Latin" for name, s in truth.items()}
