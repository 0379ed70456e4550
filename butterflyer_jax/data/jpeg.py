"""JPEG files: scans are counted, the decoder's warnings sorted into damage and trifles, and pixels decoded small."""

from __future__ import annotations

import math
import re

import simplejpeg
from PIL import Image

from butterflyer_jax.data import resize

# A progressive JPEG's cost grows with its scans, not its bytes: an empty scan of 20 bytes visits every pixel. Encoders
# write 10 to 15 scans; the second limit is 100 megapixels of these, some 5 s.
MAX_SCANS = 100
MAX_SCAN_PIXELS = 1_500_000_000
MAX_SEGMENTS = 10_000

# A JPEG is decoded at the smallest of these scales that leaves enough pixels for the margin. Measured: no loss against
# a full decode, 0.3 dB at the worst size, and on 12 megapixels five times as fast. A margin of 1.25 is 8% faster on
# pictures of 1,000 pixels, but loses 0.5 dB. For scales between, the decoder has no fast code.
DECODE_SCALES = (1 / 8, 1 / 4, 1 / 2)
SCALED_DECODE_MARGIN = 1.5

_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
# Stuffed bytes, restarts and fill bytes belong to the data of a scan.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)

# Of libjpeg's warnings, those that mean that pixels are wrong; the others are about headers that nothing here uses.
_DAMAGE = re.compile(r"Corrupt JPEG data: (?!bad ICC marker)|Premature end of JPEG file|Inconsistent progression")
_PADDING = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
_MAX_PADDING = 64


class DamageError(ValueError):
    """A JPEG of which some pixels are wrong."""


def count_scans(data: bytes) -> int:
    """Returns the number of scans that a decoder would read; more than `MAX_SCANS` where there are too many segments.

    A sequential JPEG whose first scan holds all components ends with it, so the data of its scan is not searched.
    """
    scans = position = 0
    components, progressive = 0, False
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if not found:
            return scans
        marker, start = found[1][0], found.end()
        if marker == _EOI:
            return scans
        if marker in (_SOI, _TEM):
            position = start
            continue
        if marker in _FRAME_HEADERS and len(data) > start + 7:
            components, progressive = data[start + 7], marker in _PROGRESSIVE
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS or (not progressive and data[start + 2 : start + 3] == bytes([components])):
                return scans
        position = start + max(2, int.from_bytes(data[start : start + 2], "big"))
    return MAX_SCANS + 1


def why_too_costly(data: bytes, pixels: int) -> str:
    """Returns why a JPEG of this number of pixels is not decoded; "" for an ordinary one."""
    scans = count_scans(data)
    if scans > MAX_SCANS or scans * pixels > MAX_SCAN_PIXELS:
        return f"too many scans: more than {min(MAX_SCANS, MAX_SCAN_PIXELS // max(1, pixels))} for its size"
    return ""


def is_damage(warning: str, data: bytes) -> bool:
    """Returns whether a message of the decoder means that pixels of this file are wrong."""
    padding = _PADDING.match(warning)
    if padding and int(padding[1]) <= _MAX_PADDING:
        # Some cameras fill up the last block; the decoder counts the bytes that it has not buffered.
        end = data.rfind(b"\xff\xd9")
        return bool(data[end - int(padding[1]) : end].strip(b"\0\xff"))
    return _DAMAGE.match(warning) is not None


def decode_scaled(data: bytes, image: Image.Image, target: tuple[int, int]) -> Image.Image | None:
    """Returns a JPEG decoded at the least size that serves, then scaled; None where Pillow must decode it.

    Args:
      data: content of the file.
      image: the same file, opened by Pillow.
      target: width and height of the result.

    Raises:
      DamageError: some of its pixels are wrong.
    """
    # Pillow converts CMYK, but never reports damage: for this the file is decoded here too, at the smallest size.
    in_rgb = image.mode in ("RGB", "L")
    shrinkage = SCALED_DECODE_MARGIN * max(target[0] / image.width, target[1] / image.height)
    scale = next((scale for scale in DECODE_SCALES if scale >= shrinkage), 1)
    width, height = image.width * scale, image.height * scale
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            "RGBX" if in_rgb else "CMYK",
            fastdct=False,
            fastupsample=False,
            min_width=math.ceil(width) if in_rgb else 1,
            min_height=math.ceil(height) if in_rgb else 1,
        )
    except ValueError as error:
        if is_damage(str(error), data):
            raise DamageError(error) from error
        # Of a rare kind; Pillow knows more kinds, and says what is wrong.
        return None
    if not in_rgb:
        return None
    # The decoder rounds the size up, and the last pixels hang over the edge. Without this box the image is shrunk by
    # that fraction of a pixel, which costs 1 to 4 dB.
    return resize.resample_pixels(pixels, target, (width, height))
