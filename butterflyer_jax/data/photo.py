"""One photo: decode, check, turn upright, convert to sRGB, resize, encode. Bytes in, bytes out; no disk, no TensorFlow.

Whatever reads a photo (the builder, `predict`, the app) reads it with `load`, so all accept and refuse the same files.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from butterflyer_jax.data import colour, image_format, jpeg, orientation, png, resize, tiff

# A side that JPEG can hold, less what its blocks round up.
MAX_SIDE = 65_500
# Rulers, spacers and scan lines; a panorama has 10.
MAX_ASPECT_RATIO = 100
# Profiles of look-up tables are larger than Pillow's default of 1 MiB.
PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20

# Other pictures are first shrunk by whole numbers, to no less than this many times the size wanted.
REDUCING_GAP = 3
REDUCIBLE = ("L", "RGB", "RGBA", "LA", "CMYK", "YCbCr")


class PhotoError(ValueError):
    """A photo that cannot be used; the message is the reason that rejects.csv gives."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a decoded file was.

    Attributes:
      size: width and height of the upright image, pixels.
      profile: what became of its colour profile, see `colour.apply_profile`.
      exif: its EXIF, empty where it has none or a damaged one.
    """

    size: tuple[int, int]
    profile: str
    exif: Image.Exif

    @property
    def turn(self) -> Image.Transpose | None:
        """How the stored image was turned to be upright; None where it was not."""
        return orientation.turn_of(self.exif)


def load(
    data: bytes,
    image_size: int,
    max_pixels: int,
    decoding: Callable[[int], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> tuple[Image.Image, Source]:
    """Decodes an image file and scales it so that its short side has `image_size` pixels.

    Grey, palette, CMYK and 16-bit images are converted, other colour profiles become sRGB, transparent images are laid
    on white; the result is upright.

    Args:
      data: a JPEG, PNG, WebP, BMP, GIF (first frame), TIFF, HEIC or AVIF, recognised by its content.
      image_size: short side of the result, pixels.
      max_pixels: largest image that is decoded or made, pixels.
      decoding: called with the number of pixels in the header, returns the context in which they are decoded.

    Returns:
      The RGB image, and what the file was.

    Raises:
      PhotoError: it does not decode, is damaged, of a format that is not read, or too large.
    """
    with _as_photo_errors():
        image = open_image(data)
        _check_size(image.size, max_pixels)
        target = _target_size(image.size, image_size, max_pixels)
        if image.format in ("JPEG", "MPO"):
            problem = jpeg.why_too_costly(data, image.width * image.height)
            if problem:
                raise PhotoError(problem)
        with decoding(image.width * image.height):
            fast = jpeg.decode_scaled(data, image, target) if image.format in ("JPEG", "MPO") else None
            if fast is None:
                scaled, outcome = _decode(image, target, max_pixels)
            else:
                # Converted when small: a colour profile changes every pixel by itself.
                scaled, outcome = colour.apply_profile(fast, colour.profile(image))
    exif = orientation.exif_of(image)
    turn = orientation.turn_of(exif)
    if turn is None:
        return scaled, Source(image.size, outcome, exif)
    # Turned when small: the filter is the same in both directions.
    turned = scaled.transpose(turn)
    return turned, Source(image.size[::-1] if turn in orientation.SIDEWAYS else image.size, outcome, exif)


def why_unsupported(data: bytes) -> str:
    """Returns why an image is of a format that is not read, judged by its first bytes; "" for the others.

    Raises:
      Exception: whatever a damaged TIFF makes Pillow's reader raise.
    """
    found = image_format.sniff(data[: image_format.HEAD_BYTES])
    if found is None:
        return ""
    name = (tiff.why_unsupported(data) if found is image_format.TIFF else "") or found.name
    is_read = found.reader is not None and name == found.name
    return "" if is_read else f"unsupported format: {name}; convert it to JPEG or PNG"


def open_image(data: bytes) -> Image.Image:
    """Returns an image file opened by the one reader of Pillow for its content; pixels are decoded when they are used.

    Raises:
      PhotoError: it is no image, or of a format that is not read.
      Exception: whatever a damaged file makes a reader raise.
    """
    found = image_format.sniff(data[: image_format.HEAD_BYTES])
    if found is None:
        raise PhotoError(f"not decodable: no image format recognised{image_format.what_instead(data)}")
    if reason := why_unsupported(data):
        raise PhotoError(reason)
    if found is image_format.HEIC:
        _register_heic()
    if found is image_format.PNG:
        data = png.clean(data)
    assert found.reader is not None, "why_unsupported names such formats"
    try:
        # Pillow's readers of other formats never see the file: some of them start programs.
        return Image.open(io.BytesIO(data), formats=(found.reader,))
    except UnidentifiedImageError as error:
        raise PhotoError(f"not decodable: the header of this {found.name} is damaged") from error


def write(image: Image.Image, file: IO[bytes], quality: int) -> int:
    """Writes an RGB image as JPEG to the end of a file.

    Args:
      image: at most `MAX_SIDE` pixels wide and high.
      file: open for writing.
      quality: 1 to 100.

    Returns:
      The number of bytes.

    Raises:
      PhotoError: the image cannot be encoded; the file is as it was.
      OSError: the file cannot be written.
    """
    start = file.tell()
    try:
        # Into a real file Pillow encodes without the interpreter's lock, into memory with it.
        image.save(file, "JPEG", quality=quality)
    except OSError as error:
        # The encoder's own errors have no number of the operating system.
        if error.errno is not None:
            raise
        file.seek(start)
        file.truncate()
        raise PhotoError(f"cannot be written as a JPEG: {image.width}x{image.height}") from error
    return file.tell() - start


def upright_rgb(image: Image.Image) -> Image.Image:
    """Returns an image turned as its EXIF says, in sRGB; a transparent one is laid on white.

    Raises:
      PhotoError: its pixels are numbers of an unknown range.
    """
    turn = orientation.turn_of(orientation.exif_of(image))
    with _as_photo_errors():
        rgb, _ = colour.to_srgb(image)
    return rgb.transpose(turn) if turn is not None else rgb


def resize_short_side(image: Image.Image, image_size: int, max_pixels: int) -> Image.Image:
    """Scales an RGB image, up or down by Lanczos, so that its short side has `image_size` pixels.

    Raises:
      PhotoError: it is so long and thin that the result would have more than `max_pixels`.
    """
    return resize.resample(image, _target_size(image.size, image_size, max_pixels), image.size)


def central_crop(
    image: Image.Image, crop_fraction: float, image_size: int
) -> UInt8[np.ndarray, "{image_size} {image_size} 3"]:
    """Returns the central square that evaluation sees, uint8 [image_size, image_size, 3].

    The square's side is `crop_fraction` of the short side, rounded; it is scaled as `scale_part` does.
    """
    side = max(1, round(min(image.size) * crop_fraction))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return scale_part(np.asarray(image.crop((left, top, left + side, top + side))), image_size)


def scale_part(
    pixels: UInt8[np.ndarray, "height width 3"], image_size: int
) -> UInt8[np.ndarray, "{image_size} {image_size} 3"]:
    """Returns a part of a photo as the network's input, scaled by an antialiased triangle filter.

    Args:
      pixels: uint8 [height, width, 3].
      image_size: side of the result, pixels.

    Returns:
      uint8 [image_size, image_size, 3].
    """
    height, width, _ = pixels.shape
    if (height, width) == (image_size, image_size):
        return pixels
    scaled = resize.resize(pixels.tobytes(), (width, height), (image_size, image_size), "triangle")
    return np.frombuffer(scaled, np.uint8).reshape(image_size, image_size, 3)


@contextlib.contextmanager
def _as_photo_errors() -> Iterator[None]:
    try:
        yield
    except (PhotoError, MemoryError):
        raise
    except jpeg.DamageError as error:
        raise PhotoError(f"damaged: {error}") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too large: {error}") from error
    except Exception as error:
        # A damaged file makes Pillow's decoders raise whatever they trip over.
        raise PhotoError(f"not decodable: {' '.join(str(error).split()) or type(error).__name__}") from error


@functools.cache
def _register_heic() -> None:
    import pi_heif

    # The builder has a thread for each core already.
    pi_heif.register_heif_opener(thumbnails=False, decode_threads=1)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Refuses an image by its header, before it costs memory."""
    if size[0] * size[1] > max_pixels:
        raise PhotoError(f"too large: {size[0]}x{size[1]} is more than {max_pixels} pixels")
    if max(size) > MAX_SIDE:
        raise PhotoError(f"too large: {size[0]}x{size[1]} has a side of more than {MAX_SIDE} pixels")
    if max(size) > MAX_ASPECT_RATIO * min(size):
        raise PhotoError(f"too long and thin: {size[0]}x{size[1]}")


def _target_size(size: tuple[int, int], image_size: int, max_pixels: int) -> tuple[int, int]:
    scale = image_size / min(size)
    width, height = (max(image_size, round(side * scale)) for side in size)
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise PhotoError(f"too long and thin: {size[0]}x{size[1]}")
    return width, height


def _decode(image: Image.Image, target: tuple[int, int], max_pixels: int) -> tuple[Image.Image, str]:
    """Returns what Pillow decodes, scaled, in sRGB; and what became of the colour profile."""
    image.load()
    # The header of a HEIC may lie.
    _check_size(image.size, max_pixels)
    box: tuple[float, float] = image.size
    factor = int(min(image.size) / min(target) / REDUCING_GAP)
    if image.mode.startswith("I"):
        image = colour.to_8_bits(image)
    if factor > 1 and image.mode in REDUCIBLE:
        # Before it is converted: of 100 megapixels every copy takes 400 MB.
        reduced = image.reduce(factor)
        reduced.info = image.info
        image, box = reduced, (box[0] / factor, box[1] / factor)
    rgb, outcome = colour.to_srgb(image)
    return resize.resample(rgb, target, box), outcome
