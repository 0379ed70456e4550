"""Colours: modes, depths and profiles become sRGB."""

from __future__ import annotations

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from butterflyer_jax.data import photo
from tests.conftest import encode
from tests.helpers.images import BIG, IMAGES, gradient, load


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(8, axis=0)
    decoded = np.asarray(load(encode(Image.fromarray(ramp), "PNG"), 8))
    np.testing.assert_allclose(decoded[0, :, 0], ramp[0] / 257, atol=1)


def profile_of(red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float]) -> bytes:
    """An ICC profile of these primaries (x, y), white D65 and gamma 2.2."""
    white = np.array([0.3127 / 0.329, 1, 0.3583 / 0.329])
    matrix = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    matrix = matrix * np.linalg.solve(matrix, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1, 0.8249])
    matrix = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ white)) @ bradford @ matrix

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">l", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">LH", 1, round(2.2 * 256)) + b"\0\0"
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)
    tags = {b"wtpt": xyz(d50), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve, **{t: xyz(c) for t, c in columns}}
    tags |= {b"desc": b"desc\0\0\0\0\0\0\0\5test\0" + bytes(79), b"cprt": b"text\0\0\0\0none\0"}
    table, body, start = struct.pack(">L", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">LL", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">L", start + len(body)) + bytes(4) + b"\x02\x40\0\0mntrRGB XYZ " + bytes(12)
    head += b"acsp" + bytes(28) + xyz(d50)[8:]
    return head + bytes(128 - len(head)) + table + body


SWAPPED = profile_of((0.30, 0.60), (0.64, 0.33), (0.15, 0.06))
SRGB_LIKE = profile_of((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_colour_profiles_are_honoured(picture_format: str) -> None:
    red = Image.new("RGB", (90, 60), (230, 30, 30))
    image, source = photo.load(encode(red, picture_format, icc_profile=SWAPPED), 60, BIG)
    assert source.profile == "converted"
    np.testing.assert_allclose(image.getpixel((40, 30)), (30, 230, 30), atol=12)
    opened = Image.open(io.BytesIO(encode(red, picture_format, icc_profile=SWAPPED)))
    np.testing.assert_allclose(photo.upright_rgb(opened).getpixel((40, 30)), (30, 230, 30), atol=12)


def test_adobe_rgb_by_exif_alone() -> None:
    """As cameras write it: no profile, but the interoperability index R03."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03", 2: b"0100"}
    green = Image.new("RGB", (90, 60), (120, 200, 120))
    marked = encode(green, exif=exif.tobytes())
    by_exif, source = photo.load(marked, 60, BIG)
    assert source.profile == "converted"
    # (120, 200, 120) in Adobe RGB, by the matrices of both specifications.
    np.testing.assert_allclose(by_exif.getpixel((40, 30)), (51, 201, 116), atol=6)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R98", 2: b"0100"}
    assert photo.load(encode(green, exif=exif.tobytes()), 60, BIG)[1].profile == ""


def test_a_heic_of_an_iphone_is_display_p3() -> None:
    image, source = photo.load((IMAGES / "p3.heic").read_bytes(), 48, BIG)
    # (230, 60, 30) in Display P3.
    np.testing.assert_allclose(image.getpixel((30, 20)), (250, 26, 0), atol=6)
    assert source.profile == "converted"


@pytest.mark.parametrize("profile", [SRGB, b"broken" * 100, SWAPPED[:200]])
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
def test_srgb_and_broken_profiles_leave_the_pixels(picture_format: str, profile: bytes) -> None:
    plain = np.asarray(load(encode(gradient(), picture_format)))
    image, source = photo.load(encode(gradient(), picture_format, icc_profile=profile), 60, BIG)
    np.testing.assert_array_equal(np.asarray(image), plain)
    assert source.profile == ("" if profile is SRGB else "broken")


def test_profiles_of_grey_and_cmyk_images() -> None:
    grey = gradient().convert("L")
    for picture_format in ("JPEG", "PNG"):
        # Grey axes of RGB profiles are grey; their colours do not matter.
        image, source = photo.load(encode(grey, picture_format, icc_profile=SWAPPED), 60, BIG)
        assert source.profile == "converted"
        np.testing.assert_allclose(np.asarray(image, int), np.asarray(grey.convert("RGB"), int), atol=12)
    image, source = photo.load(encode(gradient().convert("CMYK"), "TIFF", icc_profile=SWAPPED), 60, BIG)
    assert source.profile == "broken"


def tiff(pixels: bytes, width: int, height: int, **tags: int | tuple[int, ...]) -> bytes:
    """A TIFF as no writer of Pillow's: one strip, little-endian; tags by `t<number>`."""
    entries = {256: width, 257: height, 259: 1, 273: 8, 277: 1, 278: height, 279: len(pixels)}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    # Values of more than four bytes lie behind the directory.
    start = 8 + len(pixels)
    extra_at, extra, directory = start + 2 + 12 * len(entries) + 4, b"", struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        values = value if isinstance(value, tuple) else (value,)
        kind, code = (4, "L") if tag in (273, 279) else (3, "H")
        data = struct.pack(f"<{len(values)}{code}", *values)
        if len(data) > 4:
            data, extra = struct.pack("<L", extra_at + len(extra)), extra + data
        directory += struct.pack("<HHL", tag, kind, len(values)) + data.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<L", start) + pixels + directory + bytes(4) + extra


def test_tiffs_of_scanners() -> None:
    ramp = np.linspace(0, 65535, 64, dtype="<u2")[None].repeat(8, axis=0)
    for data in (
        tiff(ramp.tobytes(), 64, 8, t258=16, t262=1),
        tiff((65535 - ramp).tobytes(), 64, 8, t258=16, t262=0),
        tiff((255 - (ramp >> 8).astype(np.uint8)).tobytes(), 64, 8, t258=8, t262=0),
    ):
        np.testing.assert_allclose(np.asarray(load(data, 8), int)[0, :, 0], ramp[0] / 257, atol=1)
    planes = tiff(ramp.tobytes() * 3, 64, 8, t258=(16, 16, 16), t262=2, t277=3, t284=2)
    with pytest.raises(photo.PhotoError, match="unsupported format: TIFF with a plane of 16 bits"):
        load(planes, 8)
    lab = Image.new("LAB", (64, 8), (150, 180, 170))
    assert photo.load(encode(lab, "TIFF"), 8, BIG)[1].profile == "converted"


def test_a_large_grey_image_of_16_bits_takes_little_memory() -> None:
    data = encode(Image.new("I;16", (6000, 4000), 40_000), "PNG", compress_level=1)
    tracemalloc.start()
    assert load(data, 32).getpixel((5, 5)) == (156, 156, 156)
    # NumPy's arrays; one of int64 would take 192 MB.
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()
