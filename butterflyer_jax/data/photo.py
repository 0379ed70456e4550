"""One photograph: decode, check, turn upright, resize, encode. Bytes in, bytes out; no disk, no TensorFlow."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# No others: some of Pillow's readers start programs. What telephones call MPO is opened as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# A format can be asked for by name once Pillow has loaded its reader.
Image.init()


class PhotoError(ValueError):
    """A photograph that cannot be used; the message is the reason that rejects.csv gives."""


@dataclass(frozen=True)
class Photo:
    """A photograph ready for a record: JPEG bytes and their size in pixels."""

    jpeg: bytes
    width: int
    height: int


def prepare(data: bytes, image_size: int, quality: int, max_pixels: int) -> Photo:
    """Turns the bytes of a picture file into the JPEG that a record holds.

    Args:
      data: a JPEG, PNG, WebP, BMP, GIF (first frame) or TIFF.
      image_size: short side of the result, pixels.
      quality: JPEG quality, 1 to 100.
      max_pixels: largest picture that is decoded or made, pixels.

    Raises:
      PhotoError: it does not decode, is truncated, or is too large.
    """
    image = resize_short_side(decode(data, max_pixels), image_size, max_pixels)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Photo(buffer.getvalue(), image.width, image.height)


def decode(data: bytes, max_pixels: int) -> Image.Image:
    """Returns an upright RGB image of any picture file.

    Grey, palette, CMYK and 16-bit pictures are converted; transparent ones are laid on white.

    Raises:
      PhotoError: it does not decode, is truncated, or has more than `max_pixels`.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        # The size stands in the header: too large a picture is refused before it costs memory.
        if image.width * image.height > max_pixels:
            raise PhotoError(f"too large: {image.width}x{image.height} is more than {max_pixels} pixels")
        image.load()
        return upright_rgb(image)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too large: more than {max_pixels} pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoError("not decodable: no picture format recognised") from error
    except MemoryError:
        raise
    except Exception as error:
        # A damaged file makes Pillow's decoders raise whatever they trip over.
        raise PhotoError(f"not decodable: {' '.join(str(error).split()) or type(error).__name__}") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """Returns an image turned as its EXIF says, in RGB; a transparent one is laid on white."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise PhotoError("floating-point pixels, whose range is unknown")
    if image.mode.startswith("I"):
        # 16-bit grey; Pillow's own conversion to 8 bits clips instead of scaling.
        grey = np.asarray(image, np.int64)
        image = Image.fromarray((grey >> 8 if grey.max(initial=0) > 255 else grey).clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")


def resize_short_side(image: Image.Image, image_size: int, max_pixels: int) -> Image.Image:
    """Scales an image, up or down by Lanczos, so that its short side has `image_size` pixels.

    Raises:
      PhotoError: it is so long and thin that the result would have more than `max_pixels`.
    """
    scale = image_size / min(image.size)
    width, height = (max(image_size, round(side * scale)) for side in image.size)
    if width * height > max_pixels:
        raise PhotoError(f"too long and thin: {image.width}x{image.height}")
    return image if (width, height) == image.size else image.resize((width, height), Image.Resampling.LANCZOS)


def central_crop(image: Image.Image, crop_fraction: float, image_size: int) -> np.ndarray:
    """Returns the central square that evaluation sees, uint8 [image_size, image_size, 3].

    The square's side is `crop_fraction` of the short side, rounded; it is scaled by an antialiased triangle filter.
    """
    side = max(1, round(min(image.size) * crop_fraction))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    crop = image.crop((left, top, left + side, top + side))
    if side != image_size:
        crop = crop.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(crop)
