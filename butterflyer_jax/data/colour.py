"""Colours of decoded images: every mode, depth and colour profile becomes sRGB of 8 bits.

Specification: ICC.1:2022, https://www.color.org/specification/ICC.1-2022-05.pdf; applied by LittleCMS, which Pillow
ships.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms

# Profiles that stand for sRGB differ by the rounding of their makers.
_SAME_LEVELS = 2
_STRIP_PIXELS = 1 << 20
_WHITE_IS_ZERO = 0
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
    return apply_profile(image if image.mode in ("L", "CMYK") else image.convert("RGB"), icc)


def profile(image: Image.Image) -> bytes:
    """Returns the ICC profile of an image that Pillow has opened, b"" without one."""
    found = image.info.get("icc_profile")
    return found if isinstance(found, bytes) else b""


def apply_profile(image: Image.Image, icc: bytes) -> tuple[Image.Image, str]:
    """Returns an image in sRGB, and what became of its colour profile.

    Args:
      image: of mode RGB, L or CMYK.
      icc: an ICC profile, b"" for none; one for RGB serves grey images too.

    Returns:
      The RGB image; and "" for sRGB, `CONVERTED` for another profile, or `BROKEN` for one that is damaged or does not
      fit, which is ignored.
    """
    if not icc:
        return image.convert("RGB"), ""
    try:
        space = _colour_space(icc)
        if image.mode == "RGB" and space == "GRAY":
            # A grey JPEG that was decoded as RGB.
            image = image.getchannel(0)
        elif image.mode == "L" and space == "RGB":
            image = image.convert("RGB")
        transform = _transform(icc, image.mode)
    except ProfileError:
        return image.convert("RGB"), BROKEN
    return (image.convert("RGB"), "") if transform is None else (_apply(image, transform), CONVERTED)


def to_8_bits(image: Image.Image) -> Image.Image:
    """Returns a grey image of 16 bits in 8; Pillow's own conversion clips instead of scaling.

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
