"""PNG files before they are decoded: checksums of the pixels, and texts that no pixel needs."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE_BYTES = 8
_CHUNK = struct.Struct(">L4s")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PIXELS = (b"IHDR", b"PLTE", b"IDAT")
# Texts that may hold the EXIF orientation, below the size at which Pillow refuses them.
_EXIF_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp")
MAX_EXIF_BYTES = 1 << 20


def clean(data: bytes) -> bytes:
    """Returns a PNG without texts, however large these are; those that hold EXIF stay.

    Raises:
      ValueError: a checksum of the pixels does not fit.
    """
    pieces: list[bytes] = []
    kept, position = 0, _SIGNATURE_BYTES
    while position + _CHUNK.size <= len(data):
        length, kind = _CHUNK.unpack_from(data, position)
        end = position + 12 + length
        if kind in _PIXELS and end <= len(data):
            checksum = zlib.crc32(memoryview(data)[position + 4 : end - 4])
            if checksum != int.from_bytes(data[end - 4 : end], "big"):
                raise ValueError(f"bad checksum of {kind.decode()}")
        if kind in _TEXTS and not _holds_exif(data[position + 8 : min(end - 4, position + 8 + MAX_EXIF_BYTES + 1)]):
            pieces.append(data[kept:position])
            kept = end
        if kind == b"IEND":
            break
        position = end
    return b"".join([*pieces, data[kept:]]) if pieces else data


def _holds_exif(text: bytes) -> bool:
    keyword, _, value = text.partition(b"\0")
    if keyword not in _EXIF_KEYWORDS or len(text) > MAX_EXIF_BYTES:
        return False
    # zTXt: a method; iTXt: a flag, a method, a language and a translated keyword.
    for start in (value[1:], value[2:].lstrip(b"\0")):
        try:
            return not zlib.decompressobj().decompress(start, MAX_EXIF_BYTES + 1)[MAX_EXIF_BYTES:]
        except zlib.error:
            continue
    return True
