from __future__ import annotations

import struct
import unicodedata
import zipfile
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data import archive
from butterflyer_jax.data.archive import Listing, open_zip, read_listing
from butterflyer_jax.data.members import DamagedMember, Member, MemberReader
from tests.conftest import make_zip


def listing_of(path: Path, members: dict[str, bytes | str]) -> Listing:
    make_zip(
        path / "raw.zip", {name: data if isinstance(data, bytes) else data.encode() for name, data in members.items()}
    )
    with open_zip(path / "raw.zip") as archive:
        listing = read_listing(archive)
    assert listing.num_files == len(listing.members) + len(listing.rejects) + listing.num_ignored
    return listing


@pytest.mark.parametrize("wrapper", ["", "butterflies/"])
def test_a_folder_a_species(tmp_path: Path, wrapper: str) -> None:
    names = ["Monarch/1.jpg", "Monarch/2.JPG", "Ä Ö/1.png", "Ä Ö/deeper/3.webp"]
    listing = listing_of(tmp_path, {wrapper + name: b"x" for name in names})
    assert {(m.name, m.species, m.split) for m in listing.members} == {
        (wrapper + name, name.split("/")[0], None) for name in names
    }


@pytest.mark.parametrize("wrapper", ["", "wrapped/"])
def test_a_folder_a_split(tmp_path: Path, wrapper: str) -> None:
    listing = listing_of(tmp_path, {f"{wrapper}{s}/Monarch/{s}.jpg": b"x" for s in ("train", "valid", "TEST")})
    assert {(m.species, m.split) for m in listing.members} == {("Monarch", s) for s in ("train", "val", "test")}


def test_a_csv_labels_files_in_any_folder(tmp_path: Path) -> None:
    table = "﻿filename,label\r\na.jpg,Red\r\nimages/b b.JPG,Blue\r\ngone.jpg,Red\r\ntwice.jpg,Red\r\n"
    members = {"images/a.jpg": b"x", "images/b b.JPG": b"x", "images/c.jpg": b"x", "labels.csv": table}
    listing = listing_of(tmp_path, members | {"one/twice.jpg": b"x", "two/twice.jpg": b"x"})
    assert [(m.name, m.species) for m in listing.members] == [("images/a.jpg", "Red"), ("images/b b.JPG", "Blue")]
    assert {(r.member, r.reason) for r in listing.rejects} == {
        ("images/c.jpg", "no row in the CSV"),
        ("one/twice.jpg", "no row in the CSV"),
        ("two/twice.jpg", "no row in the CSV"),
    }
    assert [(r.member, r.reason) for r in listing.missing] == [
        ("gone.jpg", "labels.csv: no such file in the zip"),
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


@pytest.mark.parametrize("stray", ["cover.jpg", "train/cover.jpg", "samples/A/9.jpg"])
def test_a_stray_picture_does_not_change_the_layout(tmp_path: Path, stray: str) -> None:
    for wrapper in ("", "set/"):
        photos = {f"{wrapper}{s}/{species}/1.jpg": b"x" for s in ("train", "val") for species in "AB"}
        listing = listing_of(tmp_path, photos | {wrapper + stray: b"x"})
        assert {(m.species, m.split) for m in listing.members} == {(x, s) for x in "AB" for s in ("train", "val")}
        assert [r.member for r in listing.rejects] == [wrapper + stray]


def test_a_stray_picture_beside_the_species_in_a_wrapping_folder(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, {"set/A/1.jpg": b"x", "set/B/1.jpg": b"x", "set/cover.jpg": b"x"})
    assert {m.species for m in listing.members} == {"A", "B"}
    assert [r.member for r in listing.rejects] == ["set/cover.jpg"]


def test_species_are_named_in_plain_white_space(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, {"Red  Edge/1.jpg": b"x", "Red Edge /2.jpg": b"x", "B/1.jpg": b"x"})
    assert {m.species for m in listing.members} == {"Red Edge", "B"}
    table = 'filename,label\n1.jpg,"Red\nEdge"\n2.jpg,B\n'
    listing = listing_of(tmp_path, {"1.jpg": b"x", "2.jpg": b"x", "l.csv": table})
    assert {m.species for m in listing.members} == {"Red Edge", "B"}


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
    table = "filename,label,split\n1.jpg,Red,holdout\n2.jpg,Red,\n3.jpg,Red,\n"
    listing = listing_of(tmp_path, {"1.jpg": b"x", "2.jpg": b"", "3.jpg": b"x", "l.csv": table})
    assert {r.member: r.reason for r in listing.rejects} == {
        "1.jpg": "unknown split 'holdout' in l.csv",
        "2.jpg": "zero bytes",
    }
    assert not listing.missing


@pytest.mark.parametrize(
    "table", ["filename,label\n1.jpg,Caf\u00e9\n".encode("latin-1"), b"filename,label\n1.jpg," + b"x" * 200_000]
)
def test_a_csv_that_cannot_be_read_is_named(tmp_path: Path, table: bytes) -> None:
    with pytest.raises(UserError, match=r"cannot read l\.csv in the zip"):
        listing_of(tmp_path, {"1.jpg": b"x", "l.csv": table})


def test_a_csv_of_something_else_is_ignored(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, {"A/1.jpg": b"x", "B/2.jpg": b"x", "weather.csv": "day,rain\n1,2\n"})
    assert len(listing.members) == 2
    assert listing.num_ignored == 1


def test_clutter_is_counted_and_ignored(tmp_path: Path) -> None:
    clutter = ["__MACOSX/A/._1.jpg", "A/.hidden.jpg", "A/Thumbs.db", "README.txt", "A/notes.pdf"]
    listing = listing_of(tmp_path, {"A/1.jpg": b"x", "B/1.jpg": b"x"} | dict.fromkeys(clutter, b"x"))
    assert [m.name for m in listing.members] == ["A/1.jpg", "B/1.jpg"]
    assert listing.num_ignored == len(clutter)


def test_bad_members_have_a_reason(tmp_path: Path) -> None:
    names = {"A/empty.jpg": b"", "../../etc/evil.jpg": b"x", "/rooted.jpg": b"x", "A/ok.jpg": b"x", "B/ok.jpg": b"x"}
    listing = listing_of(tmp_path, names | {"loose.jpg": b"x"})
    assert {r.member: r.reason for r in listing.rejects} == {
        "A/empty.jpg": "zero bytes",
        "../../etc/evil.jpg": "name climbs out of the folder",
        "/rooted.jpg": "name climbs out of the folder",
        "loose.jpg": "not in a folder named after its species",
    }


def test_encrypted_and_doubled_members(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "raw.zip", {"A/1.jpg": b"x", "A/2.jpg": b"x"})
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("A/2.jpg", b"y")
    with open_zip(path) as archive:
        archive.infolist()[0].flag_bits |= 1
        listing = read_listing(archive)
    assert {(r.member, r.reason) for r in listing.rejects} == {
        ("A/1.jpg", "encrypted"),
        ("A/2.jpg", "a second member of the same name"),
    }


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = listing_of(tmp_path, {"A/1.jpg": b"x", "A/2.jpg": b"y"}).fingerprint
    assert listing_of(tmp_path, {"A/2.jpg": b"y", "A/1.jpg": b"x"}).fingerprint == one
    assert listing_of(tmp_path, {"A/1.jpg": b"x", "A/2.jpg": b"z"}).fingerprint != one


def test_what_is_no_zip_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such zip"):
        open_zip(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(UserError, match="is no zip"):
        open_zip(tmp_path / "text.zip")
    with pytest.raises(UserError, match="is a folder"):
        open_zip(tmp_path)
    with pytest.raises(UserError, match="no photographs"):
        listing_of(tmp_path, {"readme.txt": b"x"})


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


def pack(path: Path, name: bytes, flags: int = 0, system: int = 3) -> Path:
    """Writes a zip with one member, whose name stands there byte by byte."""
    size = struct.pack("<LLL", 0x8CDC1683, 1, 1)
    local = struct.pack("<4s5H12s2H", b"PK\3\4", 20, flags, 0, 0, 33, size, len(name), 0) + name + b"x"
    versions = struct.pack("<BB", 20, system)
    central = struct.pack("<4s2s5H12s5H2L", b"PK\1\2", versions, 20, flags, 0, 0, 33, size, len(name), 0, 0, 0, 0, 0, 0)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central + name), len(local), 0)
    path.write_bytes(local + central + name + end)
    return path


@pytest.mark.parametrize(
    ("raw", "flags", "system", "name"),
    [
        ("Schmetterling/Ä.jpg".encode(), 0, 3, "Schmetterling/Ä.jpg"),  # macOS: UTF-8, but it does not say so
        ("蝶/1.jpg".encode(), 0x800, 3, "蝶/1.jpg"),
        ("Füchse/1.jpg".encode("cp437"), 0, 0, "Füchse/1.jpg"),
        (b"Red\\1.jpg", 0, 0, "Red/1.jpg"),  # Windows' own separator
        (b"Red/a\\1.jpg", 0, 3, "Red/a\\1.jpg"),  # a letter like any other on Unix
    ],
    ids=["macos", "utf8", "dos", "windows", "unix"],
)
def test_names_of_every_packer(tmp_path: Path, raw: bytes, flags: int, system: int, name: str) -> None:
    path = pack(tmp_path / "raw.zip", raw, flags, system)
    with open_zip(path) as zip_file:
        [member] = read_listing(zip_file).members
    assert member.name == name
    assert MemberReader(path, [member]).read(member) == b"x"


def test_windows_paths_climb_too(tmp_path: Path) -> None:
    with open_zip(pack(tmp_path / "raw.zip", b"C:\\Monarch\\1.jpg", 0, 0)) as zip_file:
        assert [r.reason for r in read_listing(zip_file).rejects] == ["name climbs out of the folder"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("extra_bytes", [0, 2000])
def test_members_are_read_by_their_own_range(
    tmp_path: Path, method: int, extra_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"A/{n}.jpg": bytes([n]) * 5000 for n in range(4)}
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w", method) as zip_file:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            if extra_bytes:
                # More between header and data than is read at first.
                info.extra = struct.pack("<HH", 0x7777, extra_bytes) + bytes(extra_bytes)
            zip_file.writestr(info, data)
        zip_file.writestr("padding.txt", bytes(10**6), zipfile.ZIP_STORED)
    with open_zip(path) as zip_file:
        members = read_listing(zip_file).members
    read, ranges = archive.storage.read_range, []

    def watch(name: object, offset: int, num_bytes: int) -> bytes:
        ranges.append(num_bytes)
        return read(name, offset, num_bytes)

    monkeypatch.setattr(archive.storage, "read_range", watch)
    reader = MemberReader(path, members)
    assert {m.name: reader.read(m) for m in members} == contents
    # Neighbours with one request, and next to nothing of what lies behind them.
    assert len(ranges) == 1 if not extra_bytes else len(ranges) <= 8
    assert max(ranges) < 200_000


def test_members_with_damage_say_so(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip_file:
        zip_file.writestr("A/1.jpg", bytes(range(256)) * 50)
    with open_zip(path) as zip_file:
        [member] = read_listing(zip_file).members
    whole = path.read_bytes()
    fields = {name: getattr(member, name) for name in member.__slots__}
    cases = {
        "no member where the directory says": (whole, fields | {"header_offset": 7}),
        "no member where": (whole, fields | {"header_offset": 2**63 + 5}),
        "cut off": (whole, fields | {"num_bytes": member.num_bytes + 1, "checksum": member.checksum}),
        "Bad CRC": (whole, fields | {"checksum": 0}),
        "too large": (whole, fields | {"num_bytes": 10**12}),
        "method": (whole, fields | {"method": 99}),
        "damaged": (whole[:60] + b"\xff" * 20 + whole[80:], fields),
    }
    for reason, (data, changed) in cases.items():
        path.write_bytes(data)
        with pytest.raises(DamagedMember, match=reason):
            member = Member(**changed)
            MemberReader(path, [member]).read(member)


def test_more_members_than_a_zip_without_zip64_holds(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as zip_file:
        for number in range(66_000):
            zip_file.writestr(zipfile.ZipInfo(f"{number % 3}/{number}.jpg"), b"x")
    with open_zip(path) as zip_file:
        listing = read_listing(zip_file)
    assert len(listing.members) == listing.num_files == 66_000
    last = max(listing.members, key=lambda member: member.header_offset)
    assert MemberReader(path, listing.members).read(last) == b"x"


def test_a_member_beyond_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as zip_file:
        zip_file.writestr("A/1.jpg", b"first")
        # A hole: it takes no space on disk.
        zip_file.fp.seek(5 << 30)
        zip_file.start_dir = zip_file.fp.tell()
        zip_file.writestr("B/2.jpg", b"beyond")
    with open_zip(path) as zip_file:
        members = read_listing(zip_file).members
    assert members[1].header_offset == 5 << 30
    reader = MemberReader(path, members)
    assert [reader.read(member) for member in members] == [b"first", b"beyond"]


def test_a_table_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive.labels, "MAX_TABLE_BYTES", 10**6)
    with pytest.raises(UserError, match=r"l\.csv in the zip is too large"):
        listing_of(tmp_path, {"1.jpg": b"x", "l.csv": "filename,label\n" + "1.jpg,Red\n" * 200_000})


def test_a_folder_without_a_name_is_no_species(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, {"A/1.jpg": b"x", "B/1.jpg": b"x", " /1.jpg": b"x"})
    assert {m.species for m in listing.members} == {"A", "B"}
    assert [(r.member, r.reason) for r in listing.rejects] == [(" /1.jpg", "the name of its folder is blank")]


def test_several_wrapping_folders(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, {"a/b/Monarch/1.jpg": b"x", "a/b/Red/1.jpg": b"x"})
    assert {m.species for m in listing.members} == {"Monarch", "Red"}
    listing = listing_of(tmp_path, {"set/TEST/A/1.jpg": b"x", "set/TEST/B/1.jpg": b"x"})
    assert {(m.species, m.split) for m in listing.members} == {("A", "test"), ("B", "test")}


def test_hidden_folders_are_clutter(tmp_path: Path) -> None:
    hidden = {".ipynb_checkpoints/1-checkpoint.jpg": b"x", "A/.thumbs/1.jpg": b"x"}
    listing = listing_of(tmp_path, {"A/1.jpg": b"x", "B/1.jpg": b"x"} | hidden)
    assert [m.name for m in listing.members] == ["A/1.jpg", "B/1.jpg"]
    assert listing.num_ignored == 2


def test_tables_of_windows_and_macos(tmp_path: Path) -> None:
    """A table's own name is read as those of photographs are, or train.csv would not be known as such."""
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
def test_a_label_file_that_cannot_be_meant_is_told(tmp_path: Path, table: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        listing_of(tmp_path, {"cam/1.jpg": b"x", "l.csv": table})


def test_a_zip_is_listed_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "raw.zip", {"A/1.jpg": b"x"})
    first = archive.list_zip(path)
    with monkeypatch.context() as patch:
        patch.setattr(archive, "read_listing", None)
        assert archive.list_zip(path) is first
    make_zip(path, {"A/1.jpg": b"x", "B/2.jpg": b"x"})
    assert len(archive.list_zip(path).members) == 2
