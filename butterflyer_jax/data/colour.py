"""Colours of decoded images: every mode, depth and colour profile becomes sRGB of 8 bits.

Specification: ICC.1:2022, https://www.color.org/specification/ICC.1-2022-05.pdf; applied by LittleCMS, which Pillow
ships.
"""

from __future__ import annotations

import contextlib
import functools
import io
import struct

import numpy as np
from PIL import ExifTags, Image, ImageCms

# Profiles that stand for sRGB differ by the rounding of their makers.
_SAME_LEVELS = 2
_STRIP_PIXELS = 1 << 20
_WHITE_IS_ZERO = 0
_INTEROPERABILITY_INDEX = 1
CONVERTED, BROKEN = "converted", "broken"
# LittleCMS's names of colour spaces, and Pillow's.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


class ProfileError(ValueError):
    """A colour profile that is damaged, or of another kind of image."""


def to_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    """Returns a decoded image as RGB in sRGB, a transparent one laid on white.

    Returns:
      The image, and what became of its colour profile, see `apply_profile`.

    Raises:
      ValueError: its pixels are numbers of an unknown range.
    """
    icc = profile(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.mode == "LAB":
        return _apply(image, _lab_transform()), CONVERTED
    if image.mode.startswith("I"):
        image = to_8_bits(image)
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return apply_profile(image if image.mode in ("L", "CMYK") else _rgb(image), icc)


def profile(image: Image.Image) -> bytes:
    """Returns the ICC profile of an image that Pillow has opened, b"" without one.

    Cameras that are set to Adobe RGB often say so in EXIF alone (DCF 2.0: interoperability index R03).
    """
    found = image.info.get("icc_profile")
    if isinstance(found, bytes) and found:
        return found
    exif = image.info.get("exif")
    # Parsing EXIF takes longer than this search.
    if isinstance(exif, bytes) and b"R03" in exif:
        with contextlib.suppress(Exception):
            if image.getexif().get_ifd(ExifTags.IFD.Interop).get(_INTEROPERABILITY_INDEX) == "R03":
                return adobe_rgb()
    return b""


@functools.cache
def adobe_rgb() -> bytes:
    """Returns an ICC profile of Adobe RGB (1998).

    Its colorants, adapted to D50, and its gamma are those of the specification's annex C:
    https://www.adobe.com/digitalimag/pdfs/AdobeRGB1998.pdf
    """
    colorants = {
        b"wtpt": (0.9505, 1.0, 1.0891),
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    gamma = b"curv" + struct.pack(">LLH", 0, 1, round(2.19921875 * 256)) + b"\0\0"
    text = b"Adobe RGB (1998)\0"
    tags = {tag: b"XYZ \0\0\0\0" + _fixed(*values) for tag, values in colorants.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma)
    tags[b"desc"] = b"desc" + struct.pack(">LL", 0, len(text)) + text + bytes(78)
    tags[b"cprt"] = b"text\0\0\0\0none\0"
    table, body, start = struct.pack(">L", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">LL", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">L4sL", start + len(body), b"", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return (head.ljust(68, b"\0") + _fixed(0.9642, 1, 0.8249)).ljust(128, b"\0") + table + body


def _fixed(*values: float) -> bytes:
    """Returns numbers as s15Fixed16."""
    return b"".join(struct.pack(">l", round(value * 65536)) for value in values)


def apply_profile(image: Image.Image, icc: bytes) -> tuple[Image.Image, str]:
    """Returns an image in sRGB, and what became of its colour profile.

    Args:
      image: image of mode RGB, L or CMYK.
      icc: an ICC profile, b"" for none; one for RGB serves grey images too.

    Returns:
      The RGB image; and "" for sRGB, `CONVERTED` for another profile, or `BROKEN` for one that is damaged or does not
      fit, which is ignored.
    """
    if not icc:
        return _rgb(image), ""
    try:
        space = _colour_space(icc)
        if image.mode == "RGB" and space == "GRAY":
            # A grey JPEG that was decoded as RGB.
            image = image.getchannel(0)
        elif image.mode == "L" and space == "RGB":
            image = image.convert("RGB")
        transform = _transform(icc, image.mode)
    except ProfileError:
        return _rgb(image), BROKEN
    return (_rgb(image), "") if transform is None else (_apply(image, transform), CONVERTED)


def _rgb(image: Image.Image) -> Image.Image:
    """Returns an image in mode RGB, the same one if it is: `convert` copies."""
    return image if image.mode == "RGB" else image.convert("RGB")


def to_8_bits(image: Image.Image) -> Image.Image:
    """Returns a 16-bit grey image in 8 bits; Pillow's own conversion clips instead of scaling.

    Raises:
      ValueError: its pixels are numbers of an unknown range.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
    shift = bits - 8 if 8 < bits < 16 else 8
    result = np.empty((image.height, image.width), np.uint8)
    # In strips: of 100 megapixels every copy takes 200 MB, or 400.
    rows = max(1, _STRIP_PIXELS // image.width)
    highest = 0
    for top in range(0, image.height, rows):
        strip = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        highest = max(highest, int(strip.max()))
        result[top : top + rows] = (strip >> shift).clip(0, 255)
    if highest > 0xFFFF:
        raise ValueError("32-bit pixels, whose range is unknown")
    if highest <= 0xFF and bits >= 16:
        # Numbers of 8 bits in a file of 16.
        result = np.asarray(image).clip(0, 255).astype(np.uint8)
    # Pillow inverts this kind at 8 bits only.
    inverted = tags.get(ExifTags.Base.PhotometricInterpretation) == _WHITE_IS_ZERO
    return Image.fromarray(255 - result if inverted else result)


@functools.lru_cache(maxsize=32)
def _colour_space(icc: bytes) -> str:
    """Returns what the numbers of an image with this profile are: RGB, GRAY, CMYK, Lab or another.

    Raises:
      ProfileError: it is damaged.
    """
    try:
        return str(ImageCms.getOpenProfile(io.BytesIO(icc)).profile.xcolor_space).strip()
    except Exception as error:
        raise ProfileError(f"damaged colour profile: {error}") from error


@functools.lru_cache(maxsize=32)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform of a profile to sRGB, None where it changes nothing."""
    if _MODES.get(_colour_space(icc)) != mode:
        raise ProfileError(f"colour profile for {_colour_space(icc)} in an image of mode {mode}")
    try:
        opened = ImageCms.getOpenProfile(io.BytesIO(icc))
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode != "RGB":
            return transform
        levels = np.linspace(0, 255, 9).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
        changed = np.asarray(_apply(Image.fromarray(grid), transform), np.int16)
    except Exception as error:
        raise ProfileError(f"damaged colour profile: {error}") from error
    return None if np.abs(changed - grid).max() <= _SAME_LEVELS else transform


@functools.lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    result = ImageCms.applyTransform(image, transform)
    assert result is not None
    # Or a PNG or TIFF written of it would carry the profile.
    result.info.pop("icc_profile", None)
    return result
