"""Orientation of a photo by its EXIF, and what turns it upright."""

from __future__ import annotations

import contextlib

from PIL import ExifTags, Image

# What undoes each value of EXIF's orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Those that exchange width and height.
SIDEWAYS = (TURNS[5], TURNS[6], TURNS[7], TURNS[8])


def exif_of(image: Image.Image) -> Image.Exif:
    """Returns the EXIF of an image; an empty one where it has none or a damaged one."""
    # Damaged EXIF is no reason to refuse a photo.
    with contextlib.suppress(Exception):
        return image.getexif()
    return Image.Exif()


def turn_of(exif: Image.Exif) -> Image.Transpose | None:
    """Returns what turns an image of this EXIF upright; None where it is, or where the EXIF does not say."""
    with contextlib.suppress(Exception):
        return TURNS.get(exif.get(ExifTags.Base.Orientation, 1))
    return None
