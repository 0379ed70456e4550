"""Image formats by content."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from butterflyer_jax.data import image_format


@pytest.mark.parametrize("reader", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_formats_that_are_read(reader: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, reader)
    found = image_format.sniff(buffer.getvalue()[: image_format.HEAD_BYTES])
    assert found is not None and found.reader == reader


def brands(*names: bytes) -> bytes:
    return (16 + 4 * len(names[1:])).to_bytes(4, "big") + b"ftyp" + names[0] + bytes(4) + b"".join(names[1:])


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (brands(b"heic", b"mif1"), "HEIC"),
        (brands(b"mif1", b"heic", b"mif1"), "HEIC"),
        (brands(b"mif1", b"miaf", b"avif"), "AVIF"),
        (brands(b"crx ", b"isom"), "camera raw (Canon)"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw (Canon)"),
        (b"IIRS\x08\0\0\0", "camera raw (Olympus ORF)"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw (Fujifilm RAF)"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\1", "Photoshop (PSD)"),
        (b"<svg xmlns='x'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg:svg/>", "SVG"),
        (b"P6\n# drawn\n640 480\n255\n", "Netpbm"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_formats_by_name(head: bytes, name: str) -> None:
    found = image_format.sniff(head)
    assert found is not None and found.name == name


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BMW",
        b"BM is how the name of this text begins",
        b"<?xml version='1.0'?><annotation/>",
        b"<html><body><svg/></body></html>",
        b"filename,label\n1.jpg,A\n",
        b"%PDF-1.7",
        b"PK\x03\x04",
        brands(b"qt  ", b"qt  "),
        brands(b"isom", b"mp42", b"avc1"),
        b"P6 is a project",
    ],
)
def test_what_is_no_image(head: bytes) -> None:
    assert image_format.sniff(head) is None


@given(st.binary(max_size=200))
def test_any_bytes(head: bytes) -> None:
    for one in (head, b"\0\0\0\0ftyp" + head):
        found = image_format.sniff(one)
        assert found is None or isinstance(found, image_format.ImageFormat)
