"""What is in a raw zip: layouts, names, members that cannot be used."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import manifest, raw_zip
from butterflyer_jax.data.ingest.raw_zip import Listing, open_zip, read_listing
from butterflyer_jax.data.ingest.zip_reader import MemberReader
from tests.conftest import make_photo, make_zip
from tests.data.ingest.test_layouts import tree


def listing_of(path: Path, members: dict[str, bytes | str]) -> Listing:
    make_zip(
        path / "raw.zip", {name: data if isinstance(data, bytes) else data.encode() for name, data in members.items()}
    )
    with open_zip(path / "raw.zip") as opened:
        listing = read_listing(opened)
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


def test_clutter_is_counted_and_ignored(tmp_path: Path) -> None:
    clutter = ["__MACOSX/A/._1.jpg", "A/.hidden.jpg", "A/Thumbs.db", "README.txt", "A/notes.pdf"]
    listing = listing_of(tmp_path, {"A/1.jpg": b"x", "B/1.jpg": b"x"} | dict.fromkeys(clutter, b"x"))
    assert [m.name for m in listing.members] == ["A/1.jpg", "B/1.jpg"]
    assert listing.num_ignored == len(clutter)


def test_bad_members_have_a_reason(tmp_path: Path) -> None:
    names = {"A/empty.jpg": b"", "../../etc/evil.jpg": b"x", "A/ok.jpg": b"x", "B/ok.jpg": b"x"}
    listing = listing_of(tmp_path, names | {"loose.jpg": b"x"})
    assert {r.member: r.reason for r in listing.rejects} == {
        "A/empty.jpg": "zero bytes",
        "../../etc/evil.jpg": "name climbs out of the folder",
        "loose.jpg": "not in a folder of a species, as others are",
    }


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def test_raw_files_beside_their_photos_are_left_out(tmp_path: Path) -> None:
    files = tree("{s}/DSC{n}.JPG") | {name.replace("JPG", "ARW"): b"II*\0" for name in tree("{s}/DSC{n}.JPG")}
    listing = listing_of(tmp_path, files)
    assert {member.name for member in listing.members} == {name for name in files if name.endswith("JPG")}
    assert listing.ignored == {"of a format that is not read, beside the same photo": 18}


@pytest.mark.parametrize(
    ("bad", "data", "remedy"),
    [
        ("{s}/x{n}.CR3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", r"JPEG or PNG \(build\.ignore=\*\.CR3 leaves"),
        ("{s}/{n}.jpg", LFS, r"a pointer of Git LFS: `git lfs pull` brings the image"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_found_before_decoding(
    tmp_path: Path, bad: str, data: bytes, remedy: str
) -> None:
    files = tree("{s}/{n}.jpg") | dict.fromkeys(tree(bad), data)
    listing = listing_of(tmp_path, files)
    assert len(listing.rejects) == 18
    with pytest.raises(UserError, match=rf"18 of \d+ photos cannot be used, .*{remedy}"):
        manifest.check_rejects(listing.rejects, listing, BuildConfig())


def test_encrypted_and_doubled_members(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "raw.zip", {"A/1.jpg": b"x", "A/2.jpg": b"x", "B/1.jpg": b"x"})
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as opened:
        opened.writestr("A/2.jpg", b"y")
    with open_zip(path) as opened:
        opened.infolist()[0].flag_bits |= 1
        listing = read_listing(opened)
    assert {(r.member, r.reason) for r in listing.rejects} == {("A/1.jpg", "encrypted")}
    # As for every program that unpacks, the last one counts.
    assert [(m.name, m.checksum) for m in listing.members] == [
        ("A/2.jpg", zlib.crc32(b"y")),
        ("B/1.jpg", zlib.crc32(b"x")),
    ]
    assert listing.ignored == {"replaced by a later file of the same name": 1}


def test_photos_are_known_by_their_content(tmp_path: Path) -> None:
    photo = make_photo(1)
    names = ["A/1.jpg_orig", "A/2", "A/3.jpg.1", "A/4.jpg ", "B/5.JPE", "B/6.MPO", "B/7.dat", "B/8.jpeg_large"]
    raw = {"B/9.CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "B/10": b"8BPS\0\1", "B/11.nef": b"unknown"}
    others = {
        "A/notes.md": b"BMW",
        "A/12.mov": b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
        "A/13.bin": b"\0\1",
        "A/12.THM": photo,
    }
    listing = listing_of(tmp_path, dict.fromkeys(names, photo) | raw | others)
    assert {member.name for member in listing.members} == {*names, "B/11.nef"}
    assert {(reject.member, reject.reason.partition(";")[0]) for reject in listing.rejects} == {
        ("B/9.CR3", "unsupported format: camera raw (Canon)"),
        ("B/10", "unsupported format: Photoshop (PSD)"),
    }
    assert listing.ignored == {".md": 1, ".mov": 1, ".bin": 1, ".thm": 1}


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = listing_of(tmp_path, {"A/1.jpg": b"x", "A/2.jpg": b"y"}).fingerprint
    assert listing_of(tmp_path, {"A/2.jpg": b"y", "A/1.jpg": b"x"}).fingerprint == one
    assert listing_of(tmp_path, {"A/1.jpg": b"x", "A/2.jpg": b"z"}).fingerprint != one


def test_what_is_no_zip_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such zip"):
        open_zip(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(UserError, match="is not a zip"):
        open_zip(tmp_path / "text.zip")
    with pytest.raises(UserError, match="is a folder"):
        open_zip(tmp_path)
    with pytest.raises(UserError, match="no photos"):
        listing_of(tmp_path, {"readme.txt": b"x"})


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
        # The second byte of ソ is that of a backslash.
        ("クロマダラソテツシジミ/1.jpg".encode("cp932"), 0, 0, "クロマダラソテツシジミ/1.jpg"),
    ],
    ids=["macos", "utf8", "dos", "windows", "unix", "japan"],
)
def test_names_of_every_packer(tmp_path: Path, raw: bytes, flags: int, system: int, name: str) -> None:
    path = pack(tmp_path / "raw.zip", raw, flags, system)
    with open_zip(path) as zip_file:
        [member] = read_listing(zip_file).members
    assert member.name == name
    assert MemberReader(path, [member]).read(member) == b"x"


@pytest.mark.parametrize("root", ["/home/me/set/", "C:/Users/me/set/", "C:\\Users\\me\\set\\", "//server/set/"])
def test_absolute_names_are_read_as_if_unpacked(tmp_path: Path, root: str) -> None:
    names = [f"{root}{s}/{n}.jpg".replace("/", "\\" if "\\" in root else "/") for s in "AB" for n in range(3)]
    path = make_zip(tmp_path / "raw.zip", dict.fromkeys(names, b"x"))
    with open_zip(path) as opened:
        listing = read_listing(opened)
    assert not listing.rejects
    assert Counter(member.species for member in listing.members) == {"A": 3, "B": 3}
    assert MemberReader(path, listing.members).read(listing.members[0]) == b"x"


def test_windows_paths_climb_too(tmp_path: Path) -> None:
    with open_zip(pack(tmp_path / "raw.zip", b"C:\\..\\Monarch\\1.jpg", 0, 0)) as zip_file:
        assert [r.reason for r in read_listing(zip_file).rejects] == ["name climbs out of the folder"]


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


def test_a_zip_is_listed_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "raw.zip", {"A/1.jpg": b"x"})
    first = raw_zip.list_source(path)
    with monkeypatch.context() as patch:
        patch.setattr(raw_zip, "read_listing", None)
        assert raw_zip.list_source(path) is first
    make_zip(path, {"A/1.jpg": b"x", "B/2.jpg": b"x"})
    assert len(raw_zip.list_source(path).members) == 2
