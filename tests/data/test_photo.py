from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax.data import photo
from tests.conftest import encode

BIG = 10**8


def gradient(width: int = 90, height: int = 60) -> Image.Image:
    """Red grows to the right, green downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_format_becomes_the_same_rgb(picture_format: str) -> None:
    image = photo.decode(encode(gradient(), picture_format), BIG)
    assert (image.mode, image.size) == ("RGB", (90, 60))
    difference = np.abs(np.asarray(image, int) - np.asarray(gradient(), int))
    # GIF keeps 256 colours, JPEG and WebP lose a little.
    assert difference.mean() < 12


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    picture_format = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    image = photo.decode(encode(gradient().convert(mode), picture_format), BIG)
    assert image.mode == "RGB"
    # Seen from afar, for the sake of dithered modes.
    ours, expected = (np.asarray(x.convert("L").resize((3, 2), Image.Resampling.BOX), int) for x in (image, gradient()))
    assert np.abs(ours - expected).max() < 12


def test_transparency_is_laid_on_white() -> None:
    image = gradient().convert("RGBA")
    image.putalpha(0)
    assert np.asarray(photo.decode(encode(image, "PNG"), BIG)).min() == 255
    palette = gradient().quantize(8)
    palette.info["transparency"] = palette.getpixel((0, 0))
    decoded = photo.decode(encode(palette, "PNG", transparency=palette.getpixel((0, 0))), BIG)
    assert decoded.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(8, axis=0)
    decoded = np.asarray(photo.decode(encode(Image.fromarray(ramp), "PNG"), BIG))
    np.testing.assert_allclose(decoded[0, :, 0], ramp[0] / 257, atol=1)


def test_exif_turns_the_picture_upright() -> None:
    turned = gradient().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 270 degrees anticlockwise
    image = photo.decode(encode(turned, "JPEG", exif=exif), BIG)
    assert image.size == (90, 60)
    assert np.abs(np.asarray(image, int) - np.asarray(gradient(), int)).mean() < 5


def test_the_first_frame_of_a_gif() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert photo.decode(buffer.getvalue(), BIG).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not decodable"),
        (b"hello", "no picture format recognised"),
        (encode(gradient())[:600], "not decodable"),
        (encode(gradient(), "PNG")[:100], "not decodable"),
    ],
)
def test_damage_is_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(photo.PhotoError, match=reason):
        photo.decode(data, BIG)


def test_too_many_pixels_are_refused_before_decoding() -> None:
    with pytest.raises(photo.PhotoError, match="too large: 90x60"):
        photo.decode(encode(gradient()), 90 * 60 - 1)
    assert photo.decode(encode(gradient()), 90 * 60).size == (90, 60)
    # Pillow's own limit, which it meets before ours.
    bomb = encode(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(photo.PhotoError, match="too large"):
        photo.decode(bomb, BIG)


@pytest.mark.parametrize(
    ("size", "expected"), [((90, 60), (48, 32)), ((60, 90), (32, 48)), ((10, 8), (40, 32)), ((32, 40), (32, 40))]
)
def test_the_short_side_is_scaled_up_or_down(size: tuple[int, int], expected: tuple[int, int]) -> None:
    prepared = photo.prepare(encode(gradient(*size)), 32, 95, BIG)
    assert (prepared.width, prepared.height) == expected
    assert Image.open(io.BytesIO(prepared.jpeg)).size == expected


def test_a_thread_is_no_photograph() -> None:
    with pytest.raises(photo.PhotoError, match="too long and thin: 2000x1"):
        photo.prepare(encode(Image.new("RGB", (2000, 1))), 256, 95, 10**7)


def test_quality_is_heard() -> None:
    sizes = [len(photo.prepare(encode(gradient()), 48, quality, BIG).jpeg) for quality in (30, 95)]
    assert sizes[0] < sizes[1]


def test_the_central_crop_is_central() -> None:
    crop = photo.central_crop(gradient(90, 60), 0.5, 30)
    assert crop.shape == (30, 30, 3)
    np.testing.assert_array_equal(crop, np.asarray(gradient(90, 60))[15:45, 30:60])
    assert photo.central_crop(gradient(90, 60), 1.0, 30).shape == (30, 30, 3)
