"""Reader of single photos in a raw zip, by their byte ranges."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from butterflyer_jax.data import image_format
from butterflyer_jax.storage import files, paths

# Largest unpacked size of a member: 100 megapixels without compression take 300 MB.
MAX_MEMBER_BYTES = 320 << 20
# Larger than any file that an operating system supports.
MAX_OFFSET = 1 << 62
# Bytes read with one request: from a bucket each request takes tens of milliseconds, regardless of its size.
BLOCK_BYTES = 8 << 20

# Local file header of a member: signature, fields repeated from the directory, lengths of name and extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
HEADER_BYTES = _LOCAL_HEADER.size
_LOCAL_SIGNATURE = b"PK\x03\x04"
# Room for the name and extra field between header and data; longer ones cost a second read.
_USUAL_GAP = 1024

_READ_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.4.5
_OTHER_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd"}
_AES = 99
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800
_UNICODE_PATH = 0x7075

_ARCHIVES = (
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x1f\x8b", "a gzip file, such as a .tar.gz"),
    (0, b"BZh", "a bzip2 file, such as a .tar.bz2"),
    (0, b"\xfd7zXZ\0", "an xz file, such as a .tar.xz"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file, such as a .tar.zst"),
    (257, b"ustar", "a tar archive"),
)
ARCHIVE_HEAD_BYTES = 512
# Number of remote members whose first bytes are read in parallel.
HEAD_THREADS = 32


class DamagedMember(ValueError):
    """A member that cannot be unpacked; the message is the reason in rejects.csv."""


@dataclass(frozen=True, slots=True)
class Member:
    """A photo of the zip: its name, species, split if the zip gives one, and location.

    `header_offset`, `compressed_bytes`, `num_bytes`, `method` and `checksum` (CRC-32) come from the zip's directory.
    `archive` is the path of the zip within a folder; "" where the source itself is the zip. `boxes` are
    places of butterflies, see `tables.boxes`.
    """

    name: str
    species: str
    split: str | None = None
    header_offset: int = 0
    compressed_bytes: int = 0
    num_bytes: int = 0
    method: int = zipfile.ZIP_STORED
    checksum: int = 0
    archive: str = ""
    boxes: Sequence[Sequence[float]] = ()


def why_unreadable(info: zipfile.ZipInfo) -> str:
    """Returns why a member cannot be unpacked according to the zip's directory; "" if it can."""
    if info.flag_bits & _ENCRYPTED or info.compress_type == _AES:
        return "encrypted"
    if info.compress_type not in _READ_METHODS:
        method = _OTHER_METHODS.get(info.compress_type, f"compression method {info.compress_type}")
        return f"packed with {method}: unpack the zip and give the folder, or pack it again with Deflate"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link to another file: give the folder, or pack the files themselves (`zip` without `--symlinks`)"
    return ""


def why_no_zip(head: bytes) -> str:
    """Returns what an unreadable zip actually is, and a remedy.

    Args:
      head: the file's first `ARCHIVE_HEAD_BYTES`.
    """
    for offset, signature, name in _ARCHIVES:
        if head.startswith(signature, offset):
            return f"{name}, not a zip: unpack it and give the folder, or pack the folder as a zip"
    if head.startswith((b"PK\x07\x08", b"PK00PK")):
        return "the first part of a split zip: join the parts with `zip -s 0 NAME.zip --out JOINED.zip`, or unpack them"
    if head.startswith(b"PK\x03\x04"):
        return (
            "a zip whose end is missing: an incomplete copy (download it again), or the first of several parts "
            "(join them: `cat NAME.zip.* > JOINED.zip`)"
        )
    if (image := image_format.sniff(head)) is not None:
        return f"an image ({image.name}), not a zip: give a zip or a folder with one folder per species"
    return "not a zip, or a damaged one"


def check_not_split(infos: Sequence[zipfile.ZipInfo]) -> str:
    """Returns a remedy for the last part of a split zip; "" for a whole zip."""
    parts = max((info.volume for info in infos), default=0)
    if not parts:
        return ""
    return (
        f"the last part of a split zip ({parts} or more parts lie before it): join them with "
        "`zip -s 0 NAME.zip --out JOINED.zip`, or unpack them and give the folder"
    )


def raw_name(info: zipfile.ZipInfo) -> bytes:
    """Returns the bytes of a member's name as stored in the zip."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8_NAME else "cp437", "surrogateescape")


def unicode_path(info: zipfile.ZipInfo) -> str | None:
    """Returns a member's name from the Info-ZIP Unicode path field; None without a valid one.

    WinRAR, 7-Zip and others write this field. `zipfile` reads it since Python 3.12.
    """
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        # A version, and the checksum of the header's name: a program that renames a member may leave an outdated field.
        if kind == _UNICODE_PATH and len(field) > 5 and field[0] == 1:
            if struct.unpack_from("<L", field, 1)[0] == zlib.crc32(raw_name(info)):
                with contextlib.suppress(UnicodeDecodeError):
                    return field[5:].decode("utf-8")
            return None
    return None


def data_offset(header: bytes, info: zipfile.ZipInfo) -> int:
    """Returns the offset of a member's data in the zip.

    Args:
      header: the `HEADER_BYTES` bytes from `info.header_offset` on.
      info: directory entry of the member.

    Raises:
      BadZipFile: there is no member at this offset.
    """
    if len(header) < HEADER_BYTES or header[:4] != _LOCAL_SIGNATURE:
        raise zipfile.BadZipFile("no member where the directory says")
    _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(header)
    return info.header_offset + HEADER_BYTES + int(name_bytes) + int(extra_bytes)


def read_heads(archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], num_bytes: int) -> list[bytes]:
    """Returns the first bytes of members; b"" for those that cannot be unpacked.

    Args:
      archive: open zip; in a bucket, where its `filename` is a URL, nothing but these ranges is read.
      infos: directory entries of the members.
      num_bytes: number of bytes to read of each member.
    """
    location = archive.filename

    def local(info: zipfile.ZipInfo) -> bytes:
        with contextlib.suppress(Exception), archive.open(info) as file:
            return file.read(num_bytes)
        return b""

    def remote(info: zipfile.ZipInfo) -> bytes:
        size = _LOCAL_HEADER.size + _USUAL_GAP + min(info.compress_size, num_bytes)
        return _head(files.read_range(str(location), info.header_offset, size), info, num_bytes)

    if location is None or not paths.is_remote(location):
        return [local(info) for info in infos]
    with ThreadPoolExecutor(HEAD_THREADS) as pool:
        return list(pool.map(remote, infos))


def _head(block: bytes, info: zipfile.ZipInfo, num_bytes: int) -> bytes:
    """Returns the first bytes of a member, from a block of the zip that starts with the member's header."""
    if len(block) < _LOCAL_HEADER.size or block[:4] != _LOCAL_SIGNATURE or why_unreadable(info):
        return b""
    _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(block)
    packed = block[_LOCAL_HEADER.size + name_bytes + extra_bytes :][: info.compress_size]
    if info.compress_type == zipfile.ZIP_STORED:
        return packed[:num_bytes]
    if info.compress_type != zipfile.ZIP_DEFLATED:
        return b""
    with contextlib.suppress(zlib.error):
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, num_bytes)
    return b""


class MemberReader:
    """Reader of photos in a zip by byte ranges: neighbours with one request, and nothing else of the zip."""

    def __init__(self, archive: str | os.PathLike[str], members: Sequence[Member]) -> None:
        """Opens the zip for these members, which are read fastest in the order of their offsets."""
        self._archive = archive
        self._members = members
        self._block = b""
        self._start = 0

    def read(self, member: Member) -> bytes:
        """Returns the bytes of a photo.

        Raises:
          DamagedMember: the member has a wrong checksum, is truncated, has an unknown compression method, or is too
            large.
        """
        if max(member.num_bytes, member.compressed_bytes) > MAX_MEMBER_BYTES:
            raise DamagedMember(f"too large: more than {MAX_MEMBER_BYTES >> 20} MiB")
        if not 0 <= member.header_offset <= MAX_OFFSET:
            raise DamagedMember("damaged in the zip: no member where the directory says")
        packed = self._cut(member)
        if packed is None:
            self._fetch(member.header_offset, self._end_of_block(member))
            packed = self._cut(member)
        if packed is None:
            # An unusually long name or extra field before the data.
            self._fetch(member.header_offset, _end(member) + 2 * 0xFFFF)
            packed = self._cut(member)
        if packed is None:
            raise DamagedMember("damaged in the zip: cut off")
        return _unpack(packed, member)

    def _end_of_block(self, member: Member) -> int:
        ends = (_end(other) for other in self._members if other.header_offset >= member.header_offset)
        return max([_end(member), *(end for end in ends if end - member.header_offset <= BLOCK_BYTES)])

    def _fetch(self, start: int, end: int) -> None:
        self._block, self._start = files.read_range(self._archive, start, end - start), start

    def _cut(self, member: Member) -> memoryview | None:
        """Returns the compressed bytes of a member, or None if the block does not contain all of them."""
        header = member.header_offset - self._start
        if header < 0 or header + _LOCAL_HEADER.size > len(self._block):
            return None
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(self._block, header)
        if signature != _LOCAL_SIGNATURE:
            raise DamagedMember("damaged in the zip: no member where the directory says")
        start = header + _LOCAL_HEADER.size + name_bytes + extra_bytes
        end = start + member.compressed_bytes
        return memoryview(self._block)[start:end] if end <= len(self._block) else None


def _end(member: Member) -> int:
    return member.header_offset + _LOCAL_HEADER.size + _USUAL_GAP + member.compressed_bytes


def _unpack(packed: memoryview, member: Member) -> bytes:
    info = zipfile.ZipInfo(member.name)
    info.compress_size, info.file_size = member.compressed_bytes, member.num_bytes
    info.compress_type, info.CRC = member.method, member.checksum
    try:
        # The class that zipfile itself uses: it never unpacks more than the directory promised.
        with zipfile.ZipExtFile(io.BytesIO(packed), "r", info) as file:
            unpacked = file.read()
    except MemoryError:
        raise
    except Exception as error:
        # Each compression method raises its own errors for damaged data.
        raise DamagedMember(f"damaged in the zip: {str(error) or type(error).__name__}") from error
    if len(unpacked) != member.num_bytes:
        raise DamagedMember("damaged in the zip: cut off")
    return unpacked
