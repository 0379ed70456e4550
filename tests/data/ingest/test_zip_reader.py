"""The bytes of one photograph, read by its own range of the zip."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from butterflyer_jax.data.ingest import raw_zip
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
    read, ranges = raw_zip.storage.read_range, []

    def watch(name: object, offset: int, num_bytes: int) -> bytes:
        ranges.append(num_bytes)
        return read(name, offset, num_bytes)

    monkeypatch.setattr(raw_zip.storage, "read_range", watch)
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
