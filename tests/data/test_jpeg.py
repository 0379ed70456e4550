"""JPEG files: scans and damage."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax.data import jpeg, photo
from tests.conftest import encode
from tests.helpers.images import load, textured


def jpeg_of(image: Image.Image, **options: object) -> bytearray:
    return bytearray(encode(image, quality=92, **options))


def test_damage_that_decoders_hide_is_a_reject() -> None:
    plain = jpeg_of(textured(420, 300))
    progressive = jpeg_of(textured(420, 300), progressive=True)
    restarts = jpeg_of(textured(420, 300), restart_marker_rows=1)
    cmyk = jpeg_of(textured(420, 300).convert("CMYK"))
    for data in (plain, progressive, restarts, cmyk):
        assert load(bytes(data)).size == (84, 60)
        for hole in (data[: len(data) // 2] + bytes(2000) + data[len(data) // 2 + 2000 :], data[: len(data) // 2]):
            with pytest.raises(photo.PhotoError, match="damaged: "):
                load(bytes(hole))
    third = restarts.find(b"\xff\xd3")
    with pytest.raises(photo.PhotoError, match="damaged: Corrupt JPEG data"):
        load(bytes(restarts[:third] + restarts[third + 2 :]))


def test_warnings_that_mean_no_damage() -> None:
    plain = jpeg_of(textured(420, 300))
    expected = np.asarray(load(bytes(plain)))
    for data in (
        plain + b"a film of the telephone" * 1000,
        plain[:-2] + bytes(20) + plain[-2:],
        plain.replace(b"JFIF\0\1\1", b"JFIF\0\7\1"),
        plain[:2] + b"\xff\xe2\0\x12ICC_PROFILE\0\5\2xx" + plain[2:],
    ):
        np.testing.assert_allclose(np.asarray(load(bytes(data)), int), expected, atol=12)


def scan_bomb(scans: int, side: int = 64) -> bytes:
    """A progressive JPEG with many empty scans."""
    data = encode(Image.new("RGB", (side, side)), progressive=True)
    # Refinements of no coefficient: end-of-band runs over all blocks.
    scan = b"\xff\xda\0\x08\1\1\0\x3f\x3f\x00"[:10] + b"\0"
    return data[:-2] + scan * scans + data[-2:]


def test_scans_are_counted_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg.simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(photo.PhotoError, match="too many scans: more than 100"):
        load(scan_bomb(200))
    # A comment that looks like the end does not stop the count.
    bomb = scan_bomb(200)
    where = bomb.find(b"\xff\xda")
    with pytest.raises(photo.PhotoError, match="too many scans"):
        load(bomb[:where] + b"\xff\xfe\0\4\xff\xd9" + bomb[where:])
    with pytest.raises(photo.PhotoError, match="too many scans"):
        load(b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000 + bomb[2:])
    # Fewer scans of more pixels.
    with pytest.raises(photo.PhotoError, match="too many scans: more than 25"):
        load(scan_bomb(30, 7700))


def test_ordinary_scans() -> None:
    for options, scans in (({}, 1), ({"progressive": True}, 10), ({"restart_marker_rows": 1}, 1)):
        assert jpeg.count_scans(bytes(jpeg_of(textured(420, 300), **options))) == scans
    assert jpeg.count_scans(b"") == jpeg.count_scans(b"\xff\xd8\xff") == 0
