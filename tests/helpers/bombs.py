"""Picture files that are small and cost much."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def scan_bomb(side: int, scans: int) -> bytes:
    """Returns a progressive JPEG whose last scan, which changes nothing, comes many times."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 128).save(buffer, "JPEG", progressive=True, quality=10)
    data = buffer.getvalue()
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * scans + data[-2:]


def pixel_bomb(side: int) -> bytes:
    """Returns a PNG of one colour, of `side` times `side` pixels."""
    return _png(side, 2, 8, 3)


def sixteen_bit(side: int) -> bytes:
    """Returns a grey PNG of 16 bits a pixel."""
    return _png(side, 0, 16, 2)


def nested_tiff(depth: int) -> bytes:
    """Returns a TIFF whose pages point at each other."""
    buffer = io.BytesIO()
    page = Image.fromarray(np.zeros((8, 8), np.uint8))
    page.save(buffer, "TIFF", save_all=True, append_images=[page] * depth)
    return buffer.getvalue()


def _png(side: int, kind: int, bits: int, bytes_a_pixel: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + side * bytes_a_pixel)
    pixels = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
