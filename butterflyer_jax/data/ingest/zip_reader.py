"""One photograph of a raw zip: where it lies there, and its bytes, read without the rest of the zip."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from butterflyer_jax.storage import files

# What a member may unpack to: 100 megapixels that nothing packs take 300 MB.
MAX_MEMBER_BYTES = 320 << 20
# Beyond it lies no file that an operating system can hold.
MAX_OFFSET = 1 << 62
# Read with one request: from a bucket each takes tens of milliseconds, whatever its size.
BLOCK_BYTES = 8 << 20

# Of the header before a member's data: signature, then what the directory says too, then the lengths of what follows.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
# Names and extra fields between header and data are shorter, or cost a second read.
_USUAL_GAP = 1024


class DamagedMember(ValueError):
    """A member that cannot be unpacked; the message is the reason that rejects.csv gives."""


@dataclass(frozen=True, slots=True)
class Member:
    """A photograph of the zip: its name there, its species, its split where the zip gives one, and where it lies.

    `header_offset`, `compressed_bytes`, `num_bytes`, `method` and `checksum` (CRC-32) are the zip's own.
    """

    name: str
    species: str
    split: str | None = None
    header_offset: int = 0
    compressed_bytes: int = 0
    num_bytes: int = 0
    method: int = zipfile.ZIP_STORED
    checksum: int = 0


class MemberReader:
    """Reads photographs of a zip by their ranges: neighbours with one request, and nothing else of the zip."""

    def __init__(self, archive: str | os.PathLike[str], members: Sequence[Member]) -> None:
        """Takes the zip, and what will be read of it, best in the order of their offsets."""
        self._archive = archive
        self._members = members
        self._block = b""
        self._start = 0

    def read(self, member: Member) -> bytes:
        """Returns the bytes of a photograph.

        Raises:
          DamagedMember: its checksum does not fit, it is cut off, of an unknown method, or too large.
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
            # More between header and data than is usual.
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
        """Returns the packed bytes of a member, None where they are not all in the block."""
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
        # What zipfile itself reads members with: it never unpacks more than the directory promised.
        with zipfile.ZipExtFile(io.BytesIO(packed), "r", info) as file:
            unpacked = file.read()
    except MemoryError:
        raise
    except Exception as error:
        # Each way to pack has errors of its own for damaged data.
        raise DamagedMember(f"damaged in the zip: {str(error) or type(error).__name__}") from error
    if len(unpacked) != member.num_bytes:
        raise DamagedMember("damaged in the zip: cut off")
    return unpacked
