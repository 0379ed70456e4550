"""Zips within a zip or a folder are read where they lie."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import raw_zip
from butterflyer_jax.data.ingest.source import open_reader
from tests.conftest import make_zip
from tests.data.ingest.test_layouts import SPECIES, tree

Files = dict[str, bytes]


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return buffer.getvalue()


def photos(pattern: str, species: str) -> Files:
    return {name: f"{species} {name}".encode() * 40 for name in tree(pattern, (species,))}


def zip_of_zips(method: int = zipfile.ZIP_STORED) -> Files:
    """Returns two species as zips, one with a folder of its own in it, and one as a folder."""
    one, two, three = SPECIES
    return {
        "notes.md": b"x",
        f"set/{one}.zip": packed(photos("{i}.jpg", one), method),
        f"set/{two}.zip": packed(photos("{s}/{i}.jpg", two) | {f"{two}/new": b"\xff\xd8\xff\xe0" + bytes(90)}, method),
    } | photos("set/{s}/{i}.jpg", three)


def place(folder: Path, files: Files, as_folder: bool) -> Path:
    if not as_folder:
        # Not at the beginning of the file, as in a zip that unpacks itself.
        path = make_zip(folder / "raw.zip", files)
        path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
        return path
    for name, data in files.items():
        path = folder / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "raw"


@pytest.mark.parametrize("as_folder", [False, True], ids=["zip", "folder"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_for_each_species(tmp_path: Path, as_folder: bool, method: int) -> None:
    source = place(tmp_path, zip_of_zips(method), as_folder)
    listing = raw_zip.list_source(source)
    assert len(listing.members) == 19
    assert {member.name: member.species for member in listing.members} == {
        member.name: member.name.split("/")[1] for member in listing.members
    }
    assert not listing.rejects
    assert listing.num_files == 20
    assert any(
        f"read as folders of their names: set/{SPECIES[0]}.zip, set/{SPECIES[1]}.zip" in n for n in listing.notes
    )
    reader = open_reader(source, listing.members)
    data = {member.name: reader.read(member) for member in listing.members}
    assert data[f"set/{SPECIES[0]}/3.jpg"] == f"{SPECIES[0]} 3.jpg".encode() * 40
    assert data[f"set/{SPECIES[1]}/3.jpg"] == f"{SPECIES[1]} {SPECIES[1]}/3.jpg".encode() * 40
    assert data[f"set/{SPECIES[2]}/3.jpg"] == f"{SPECIES[2]} set/{SPECIES[2]}/3.jpg".encode() * 40


def test_splits_and_tables_in_zips(tmp_path: Path) -> None:
    table = "filename,label\n" + "\n".join(f"{n}.jpg,{n % 2}" for n in range(6))
    inside = dict.fromkeys([f"{n}.jpg" for n in range(6)], b"x") | {"labels.csv": table.encode()}
    files = {"train.zip": packed(inside), "valid.zip": packed(inside)}
    for as_folder in (False, True):
        listing = raw_zip.list_source(place(tmp_path, files, as_folder))
        assert {(m.name[:5], m.species, m.split) for m in listing.members} == {
            (folder, label, split) for folder, split in (("train", "train"), ("valid", "val")) for label in "01"
        }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"B.zip": b"PK"}, r"not opened: B\.zip \(no readable zip, "),
        ({"A.zip": packed({"0.jpg": b"x"})}, r"A\.zip \(its files have the names of others, such as A/0\.jpg\)"),
        ({"B.7z": b"7z"}, r"not opened: B\.7z; unpack them beside the other files, .*build\.ignore=\*\.7z"),
        ({"B.zip": packed({"C.zip": packed({"0.jpg": b"x"})})}, r"not opened: B/C\.zip; unpack"),
    ],
)
def test_archives_that_cannot_be_opened_are_named(tmp_path: Path, files: Files, message: str) -> None:
    path = make_zip(tmp_path / "raw.zip", {"A/0.jpg": b"x", "A/1.jpg": b"x"} | files)
    with pytest.raises(UserError, match=message):
        raw_zip.list_source(path)
    assert len(raw_zip.list_source(path, BuildConfig(ignore="*.zip,*.7z")).members) == 2


def test_a_zip_that_is_compressed_within_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    path.write_bytes(packed({"A/0.jpg": b"x", "B.zip": packed({"0.jpg": b"x"})}, zipfile.ZIP_DEFLATED))
    with pytest.raises(UserError, match=r"B\.zip \(compressed once more: unpack the outer zip and give the folder\)"):
        raw_zip.list_source(path)
