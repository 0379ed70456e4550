"""Photos: decode, check, turn upright, scale, encode."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from butterflyer_jax.data import orientation as orientations
from butterflyer_jax.data import photo
from tests.conftest import encode
from tests.data.test_colour import SWAPPED
from tests.helpers.images import BIG, IMAGES, gradient, load, textured


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
def test_every_format_becomes_the_same_rgb(picture_format: str) -> None:
    image = load(encode(gradient(), picture_format))
    assert (image.mode, image.size) == ("RGB", (90, 60))
    difference = np.abs(np.asarray(image, int) - np.asarray(gradient(), int))
    # GIF keeps 256 colours, JPEG and WebP lose a little.
    assert difference.mean() < 12


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    for picture_format in ("JPEG",) if mode in ("CMYK", "YCbCr") else ("PNG", "JPEG") if mode == "L" else ("PNG",):
        image = load(encode(gradient().convert(mode), picture_format))
        assert image.mode == "RGB"
        # Seen from afar, for the sake of dithered modes.
        ours, expected = (
            np.asarray(x.convert("L").resize((3, 2), Image.Resampling.BOX), int) for x in (image, gradient())
        )
        assert np.abs(ours - expected).max() < 12


def test_transparency_is_laid_on_white() -> None:
    image = gradient().convert("RGBA")
    image.putalpha(0)
    assert np.asarray(load(encode(image, "PNG"))).min() == 255
    palette = gradient().quantize(8)
    palette.info["transparency"] = palette.getpixel((0, 0))
    decoded = load(encode(palette, "PNG", transparency=palette.getpixel((0, 0))))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_exif_turns_the_picture_upright(orientation: int, picture_format: str) -> None:
    undo = orientations.TURNS.get(orientation)
    # What a camera held in that way stores: the inverse of what turns it upright.
    inverse = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    stored = gradient(180, 120) if undo is None else gradient(180, 120).transpose(inverse.get(undo, undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, source = photo.load(encode(stored, picture_format, exif=exif), 60, BIG)
    assert image.size == (90, 60)
    assert source.size == (180, 120)
    assert np.abs(np.asarray(image, int) - np.asarray(gradient(), int)).mean() < 5


def test_damaged_exif_is_no_reason_to_refuse_a_picture() -> None:
    data = encode(gradient(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
    assert load(data).size == (90, 60)


def test_the_first_frame_of_a_gif() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert load(buffer.getvalue(), 8).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"not decodable: no image format recognised \(zero bytes\)"),
        (b"\n<!DOCTYPE html><html>", r"recognised \(a web page: download the image itself\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid", r"recognised \(a pointer of Git LFS: `git lfs pull`"),
        (b"hello", "no image format recognised"),
        (encode(gradient())[:600], "not decodable|damaged"),
        (encode(textured(400, 300))[:-2000], "damaged: Premature end of JPEG file"),
        (encode(gradient(), "PNG")[:100], "not decodable"),
        (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(900), "not decodable: the header of this HEIC is damaged"),
    ],
    ids=["empty", "html", "lfs", "text", "header", "cut", "png", "heic"],
)
def test_damage_is_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(photo.PhotoError, match=reason):
        load(data)


def test_too_many_pixels_are_refused_before_decoding() -> None:
    with pytest.raises(photo.PhotoError, match="too large: 90x60"):
        load(encode(gradient()), max_pixels=90 * 60 - 1)
    assert load(encode(gradient()), max_pixels=90 * 60).size == (90, 60)
    # Pillow's own limit, which it meets before ours.
    bomb = encode(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(photo.PhotoError, match="too large"):
        load(bomb)


@pytest.mark.parametrize(
    ("size", "expected"), [((90, 60), (48, 32)), ((60, 90), (32, 48)), ((10, 8), (40, 32)), ((32, 40), (32, 40))]
)
def test_the_short_side_is_scaled_up_or_down(size: tuple[int, int], expected: tuple[int, int]) -> None:
    for picture_format in ("JPEG", "PNG"):
        image, source = photo.load(encode(gradient(*size), picture_format), 32, BIG)
        assert image.size == expected
        assert source.size == size


def test_a_thread_is_no_photo() -> None:
    with pytest.raises(photo.PhotoError, match="too long and thin: 2000x1"):
        load(encode(Image.new("RGB", (2000, 1))), 256, 10**7)
    # Small enough, but with a side that no JPEG can hold.
    with pytest.raises(photo.PhotoError, match="too long and thin: 300x1"):
        load(encode(Image.new("RGB", (300, 1))), 256)
    # However small the records are.
    with pytest.raises(photo.PhotoError, match="too long and thin: 300x1"):
        load(encode(Image.new("RGB", (300, 1))), 32)
    with pytest.raises(photo.PhotoError, match="a side of more than 65500"):
        load(encode(Image.new("1", (66_000, 500)), "PNG"), 256)


def psnr(image: Image.Image, reference: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.asarray(image, np.float64) - reference) ** 2)))


# Sides that no power of two divides: where a scaled decode rounds up, the picture must not shift.
@pytest.mark.parametrize("size", [(613, 411), (1201, 803), (2003, 1337), (1337, 2003)])
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
def test_scaling_is_as_good_as_pillows(size: tuple[int, int], picture_format: str) -> None:
    data = encode(textured(*size), picture_format, quality=92, compress_level=1)
    decoded = Image.open(io.BytesIO(data))
    ours, _ = photo.load(data, 128, BIG)
    planes = [
        Image.fromarray(np.asarray(plane, np.float32)).resize(ours.size, Image.Resampling.LANCZOS)
        for plane in decoded.split()
    ]
    reference = np.stack([np.asarray(plane) for plane in planes], axis=-1).clip(0, 255)
    # Records are compared as records: what JPEG at quality 95 loses is more than what scaling does.
    records = [
        Image.open(io.BytesIO(encode(image, quality=95)))
        for image in (ours, decoded.resize(ours.size, Image.Resampling.LANCZOS))
    ]
    assert psnr(records[0], reference) > psnr(records[1], reference) - 0.5


def test_jpegs_are_written_one_after_another(tmp_path: Path) -> None:
    with (tmp_path / "jpegs").open("wb") as file:
        sizes = [photo.write(gradient(), file, quality) for quality in (30, 95)]
    data = (tmp_path / "jpegs").read_bytes()
    assert sizes[0] < sizes[1]
    assert sum(sizes) == len(data)
    for written, quality in ((data[: sizes[0]], 30), (data[sizes[0] :], 95)):
        assert written == encode(gradient(), quality=quality)


def test_decoding_happens_in_a_context_that_knows_the_size() -> None:
    seen = []

    @contextlib.contextmanager
    def decoding(pixels: int) -> Iterator[None]:
        seen.append(pixels)
        yield
        seen.append("done")

    photo.load(encode(gradient()), 32, BIG, decoding)
    assert seen == [90 * 60, "done"]


def test_an_image_that_is_open_already_is_scaled_the_same() -> None:
    data = encode(gradient(120, 80), "PNG")
    opened = photo.resize_short_side(photo.upright_rgb(Image.open(io.BytesIO(data))), 32, BIG)
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(load(data, 32)))


def test_the_central_crop_is_central() -> None:
    crop = photo.central_crop(gradient(90, 60), 0.5, 30)
    assert crop.shape == (30, 30, 3)
    np.testing.assert_array_equal(crop, np.asarray(gradient(90, 60))[15:45, 30:60])
    assert photo.central_crop(gradient(90, 60), 1.0, 30).shape == (30, 30, 3)


@pytest.mark.parametrize("name", ["drawn", "turned"])
def test_heic_is_read_upright(name: str) -> None:
    """Both were encoded from one drawing; `turned.heic` lies on its side and says so."""
    image, source = photo.load((IMAGES / f"{name}.heic").read_bytes(), 72, BIG)
    assert (image.size, source.size) == ((96, 72), (96, 72))
    other = load((IMAGES / "drawn.heic").read_bytes(), 72)
    assert np.abs(np.asarray(image, int) - np.asarray(other, int)).mean() < 2


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
        (b"\xff\x0a" + bytes(100), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "JPEG 2000"),
        (b"8BPS" + bytes(100), "Photoshop"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (encode(gradient(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}), "DNG"),
        (encode(gradient(), "TIFF", tiffinfo={254: 1, 330: 8}), "camera raw"),
    ],
)
def test_formats_that_are_not_read_are_named(data: bytes, name: str) -> None:
    with pytest.raises(photo.PhotoError, match=rf"unsupported format: .*{name}.*; convert it"):
        load(data)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


@pytest.mark.parametrize("size", [3_000_000, 30_000_000])
@pytest.mark.parametrize("keyword", [b"history", b"XML:com.adobe.xmp"])
@pytest.mark.parametrize("at", [33, -12])
def test_large_texts_of_a_png_are_left_out(size: int, keyword: bytes, at: int) -> None:
    png = encode(gradient(), "PNG")
    compressor = zlib.compressobj()
    text = b"".join(compressor.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)) + compressor.flush()
    edited = png[:at] + png_chunk(b"iTXt", keyword + b"\0\1\0\0\0" + text) + png_chunk(b"tEXt", b"a\0" + b"b" * size)
    tracemalloc.start()
    np.testing.assert_array_equal(np.asarray(load(edited + png[at:])), np.asarray(load(png)))
    assert tracemalloc.get_traced_memory()[1] < 2 * len(edited) + 20e6
    tracemalloc.stop()


def test_a_png_with_a_bad_checksum_is_a_reject() -> None:
    png = bytearray(encode(textured(420, 300), "PNG"))
    end = png.rfind(b"IEND") - 4
    png[end - 1] ^= 1
    with pytest.raises(photo.PhotoError, match="not decodable: bad checksum of IDAT"):
        load(bytes(png))


def test_an_image_that_cannot_be_encoded_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    with (tmp_path / "jpegs").open("wb") as file:
        size = photo.write(gradient(), file, 90)
        with pytest.raises(photo.PhotoError, match="cannot be written as a JPEG: 70000x1"):
            photo.write(Image.new("RGB", (70_000, 1)), file, 90)
        assert file.tell() == size
    assert (tmp_path / "jpegs").read_bytes() == encode(gradient(), quality=90)


SEEDS = [
    encode(textured(48, 36), "JPEG"),
    encode(textured(48, 36), "JPEG", progressive=True, icc_profile=SWAPPED),
    encode(textured(48, 36), "PNG", icc_profile=SWAPPED),
    encode(textured(48, 36), "WEBP"),
    encode(textured(48, 36), "TIFF"),
    encode(textured(48, 36), "AVIF"),
    encode(gradient(48, 36), "GIF"),
    encode(gradient(48, 36), "BMP"),
    (IMAGES / "drawn.heic").read_bytes(),
]


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=8)), max_size=4))
@settings(max_examples=300)
def test_any_damage_is_a_photo_or_a_reject(data: bytes, changes: list[tuple[float, bytes]]) -> None:
    changed = bytearray(data)
    for at, new in changes:
        position = int(at * len(changed))
        changed[position : position + len(new)] = new
    with contextlib.suppress(photo.PhotoError):
        image, source = photo.load(bytes(changed), 32, 10**6)
        assert image.mode == "RGB" and min(image.size) == 32
        assert source.profile in ("", "converted", "broken")
