"""The bytes of one photo, read by its own range of the zip."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest import zip_reader
from butterflyer_jax.data.ingest.raw_zip import open_zip, read_listing
from butterflyer_jax.data.ingest.zip_reader import DamagedMember, Member, MemberReader


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
    read, ranges = zip_reader.files.read_range, []

    def watch(name: object, offset: int, num_bytes: int) -> bytes:
        ranges.append(num_bytes)
        return read(name, offset, num_bytes)

    monkeypatch.setattr(zip_reader.files, "read_range", watch)
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


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_first_bytes_of_members(tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.zip"
    contents = [bytes([n]) * n * 1000 for n in range(4)]
    with zipfile.ZipFile(path, "w", method) as zip_file:
        for number, data in enumerate(contents):
            zip_file.writestr(f"{number}", data)
    with open_zip(path) as zip_file:
        infos = zip_file.infolist()
        heads = zip_reader.read_heads(zip_file, infos, 64)
        assert heads == [data[:64] for data in contents]
        # Of a zip in a bucket by ranges.
        monkeypatch.setattr(zip_reader.paths, "is_remote", lambda _: True)
        monkeypatch.setattr(zip_reader.files, "read_range", lambda name, at, size: path.read_bytes()[at : at + size])
        known = method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        assert zip_reader.read_heads(zip_file, infos, 64) == (heads if known else [b""] * 4)


def test_names_of_the_unicode_path_field() -> None:
    info = zipfile.ZipInfo("x")
    info.orig_filename = "大红".encode("gbk").decode("cp437")
    text = "大红".encode()

    def field(checksum: int, data: bytes = text, version: int = 1) -> bytes:
        return struct.pack("<HHBL", 0x7075, 5 + len(data), version, checksum) + data

    good = zlib.crc32("大红".encode("gbk"))
    for extra, name in (
        (field(good), "大红"),
        (struct.pack("<HHH", 0x1234, 2, 7) + field(good), "大红"),
        (field(good + 1), None),
        (field(good, b"\xff\xff"), None),
        (field(good, version=2), None),
        (field(good)[:7], None),
        (b"", None),
    ):
        info.extra = extra
        assert zip_reader.unicode_path(info) == name


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "a 7z archive"),
        (b"Rar!\x1a\x07\x01\0" + bytes(100), "a RAR archive"),
        (gzip.compress(b"x" * 100, mtime=0), "a gzip file"),
        (bz2.compress(b"x" * 100), "a bzip2 file"),
        (lzma.compress(b"x" * 100), "an xz file"),
        (b"a" + bytes(256) + b"ustar\x0000" + bytes(2000), "a tar archive"),
        (b"PK\x07\x08PK\x03\x04" + bytes(100), "the first part of a split zip"),
        (b"PK\x03\x04" + bytes(100), "whose end is missing"),
        (b"hello" * 100, "not a zip, or a damaged one"),
        (b"", "not a zip, or a damaged one"),
    ],
)
def test_what_is_no_zip_is_named(tmp_path: Path, content: bytes, cause: str) -> None:
    (tmp_path / "photos.zip").write_bytes(content)
    with pytest.raises(UserError, match=cause):
        open_zip(tmp_path / "photos.zip")


def test_the_last_part_of_a_split_zip(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as zip_file:
        zip_file.writestr("A/1.jpg", b"x")
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\1\2") + 34] = 3
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"last part of a split zip \(3 or more"):
        open_zip(path)


def test_a_link_in_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    link = zipfile.ZipInfo("train/A/1.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "w") as zip_file:
        zip_file.writestr("train/A/2.jpg", b"x")
        zip_file.writestr(link, "../../images/1.jpg")
    with open_zip(path) as zip_file:
        listing = read_listing(zip_file)
    assert [member.name for member in listing.members] == ["train/A/2.jpg"]
    assert [reject.reason[:23] for reject in listing.rejects] == ["a link to another file:"]


@pytest.mark.parametrize(("method", "name"), [(9, "Deflate64"), (98, "PPMd"), (99, "encrypted"), (55, "method 55")])
def test_methods_that_are_not_read_are_named(tmp_path: Path, method: int, name: str) -> None:
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as zip_file:
        zip_file.writestr("A/1.jpg", b"x")
        zip_file.writestr("A/2.jpg", b"x")
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\1\2") + 10] = method
    path.write_bytes(data)
    with open_zip(path) as zip_file:
        [reject] = read_listing(zip_file).rejects
    assert name in reject.reason
