"""One photograph: decode, check, turn upright, resize, encode. Bytes in, bytes out; no disk, no TensorFlow."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable
from typing import IO

import cykooz_resizer
import numpy as np
import simplejpeg
from PIL import ExifTags, Image, UnidentifiedImageError

# No others: some of Pillow's readers start programs. What telephones call MPO is opened as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# A format can be asked for by name once Pillow has loaded its reader.
Image.init()

# A JPEG is decoded at the smallest of these scales that leaves so many times the size wanted. Measured: no loss against
# a full decode, 0.3 dB at the worst size, and on 12 megapixels five times as fast. A margin of 1.25 is 8% faster on
# pictures of 1,000 pixels, but loses 0.5 dB. For scales between, the decoder has no fast code.
DECODE_SCALES = (1 / 8, 1 / 4, 1 / 2)
SCALED_DECODE_MARGIN = 1.5
LANCZOS = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.lanczos3)
TRIANGLE = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.bilinear)
# Other pictures are first shrunk by whole numbers, to no less than this many times the size wanted.
REDUCING_GAP = 3
REDUCIBLE = ("L", "RGB", "RGBA", "LA", "CMYK", "YCbCr")
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


class PhotoError(ValueError):
    """A photograph that cannot be used; the message is the reason that rejects.csv gives."""


def load(
    data: bytes,
    image_size: int,
    max_pixels: int,
    decoding: Callable[[int], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> tuple[Image.Image, tuple[int, int]]:
    """Decodes a picture file and scales it so that its short side has `image_size` pixels.

    Grey, palette, CMYK and 16-bit pictures are converted; transparent ones are laid on white; the result is upright.

    Args:
      data: a JPEG, PNG, WebP, BMP, GIF (first frame) or TIFF.
      image_size: short side of the result, pixels.
      max_pixels: largest picture that is decoded or made, pixels.
      decoding: called with the pixels that the header tells of, returns the context in which they are decoded.

    Returns:
      The RGB image, and the width and height of the upright picture in the file.

    Raises:
      PhotoError: it does not decode, is truncated, or is too large.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        # The size stands in the header: too large a picture is refused before it costs memory.
        if image.width * image.height > max_pixels:
            raise PhotoError(f"too large: {image.width}x{image.height} is more than {max_pixels} pixels")
        target = _target_size(image.size, image_size, max_pixels)
        with decoding(image.width * image.height):
            scaled = _scaled_jpeg(data, image, target) or _decode(image, target)
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
    turn = _turn(image)
    if turn is None:
        return scaled, image.size
    # Turned when small: the filter is the same in both directions.
    turned = scaled.transpose(turn)
    sideways = turn in (TURNS[5], TURNS[6], TURNS[7], TURNS[8])
    return turned, image.size[::-1] if sideways else image.size


def write(image: Image.Image, file: IO[bytes], quality: int) -> int:
    """Writes an RGB image as JPEG, `quality` 1 to 100, to the end of a file; returns the number of bytes."""
    start = file.tell()
    # Into a real file Pillow encodes without the interpreter's lock, into memory with it.
    image.save(file, "JPEG", quality=quality)
    return file.tell() - start


def upright_rgb(image: Image.Image) -> Image.Image:
    """Returns an image turned as its EXIF says, in RGB; a transparent one is laid on white.

    Raises:
      PhotoError: its pixels are floating-point numbers.
    """
    turn = _turn(image)
    rgb = _to_rgb(image)
    return rgb.transpose(turn) if turn is not None else rgb


def resize_short_side(image: Image.Image, image_size: int, max_pixels: int) -> Image.Image:
    """Scales an RGB image, up or down by Lanczos, so that its short side has `image_size` pixels.

    Raises:
      PhotoError: it is so long and thin that the result would have more than `max_pixels`.
    """
    return _resample(image.tobytes(), image.size, _target_size(image.size, image_size, max_pixels), image.size)


def central_crop(image: Image.Image, crop_fraction: float, image_size: int) -> np.ndarray:
    """Returns the central square that evaluation sees, uint8 [image_size, image_size, 3].

    The square's side is `crop_fraction` of the short side, rounded; it is scaled as `scale_part` does.
    """
    side = max(1, round(min(image.size) * crop_fraction))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return scale_part(np.asarray(image.crop((left, top, left + side, top + side))), image_size)


def scale_part(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Returns a part of a photograph as the network's input, scaled by an antialiased triangle filter.

    Args:
      pixels: uint8 [height, width, 3].
      image_size: side of the result, pixels.

    Returns:
      uint8 [image_size, image_size, 3].
    """
    height, width, _ = pixels.shape
    if (height, width) == (image_size, image_size):
        return pixels
    source = cykooz_resizer.ImageData(width, height, cykooz_resizer.PixelType.U8x3, pixels.tobytes())
    result = cykooz_resizer.ImageData(image_size, image_size, cykooz_resizer.PixelType.U8x3)
    cykooz_resizer.Resizer().resize(source, result, cykooz_resizer.ResizeOptions(TRIANGLE))
    return np.frombuffer(result.get_buffer(), np.uint8).reshape(image_size, image_size, 3)


def _target_size(size: tuple[int, int], image_size: int, max_pixels: int) -> tuple[int, int]:
    scale = image_size / min(size)
    width, height = (max(image_size, round(side * scale)) for side in size)
    if width * height > max_pixels:
        raise PhotoError(f"too long and thin: {size[0]}x{size[1]}")
    return width, height


def _scaled_jpeg(data: bytes, image: Image.Image, target: tuple[int, int]) -> Image.Image | None:
    """Returns a JPEG decoded at the least size that serves, then scaled; None where Pillow must decode it."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    shrinkage = SCALED_DECODE_MARGIN * max(target[0] / image.width, target[1] / image.height)
    scale = next((scale for scale in DECODE_SCALES if scale >= shrinkage), 1)
    width, height = image.width * scale, image.height * scale
    try:
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=False, fastupsample=False, min_width=math.ceil(width), min_height=math.ceil(height)
        )
    except ValueError:
        # Damaged, or of a rare kind; Pillow knows more kinds, and says what is wrong.
        return None
    # The decoder rounds the size up, and the last pixels hang over the edge. Without this box the picture is shrunk by
    # that fraction of a pixel, which costs 1 to 4 dB.
    return _resample(pixels.tobytes(), (pixels.shape[1], pixels.shape[0]), target, (width, height))


def _decode(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Returns what Pillow decodes, scaled."""
    image.load()
    box: tuple[float, float] = image.size
    factor = int(min(image.size) / min(target) / REDUCING_GAP)
    if factor > 1 and image.mode in REDUCIBLE:
        # Before it is converted: of 100 megapixels every copy takes 400 MB.
        reduced = image.reduce(factor)
        reduced.info = image.info
        image, box = reduced, (box[0] / factor, box[1] / factor)
    rgb = _to_rgb(image)
    return _resample(rgb.tobytes(), rgb.size, target, box)


def _to_rgb(image: Image.Image) -> Image.Image:
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


def _turn(image: Image.Image) -> Image.Transpose | None:
    # Damaged EXIF is no reason to refuse a picture.
    with contextlib.suppress(Exception):
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return None


def _resample(pixels: bytes, size: tuple[int, int], target: tuple[int, int], box: tuple[float, float]) -> Image.Image:
    """Scales RGB pixels of width and height `size`, of which the picture takes the upper left `box`, to `target`."""
    if size == target == box:
        return Image.frombuffer("RGB", size, pixels, "raw", "RGB", 0, 1)
    source = cykooz_resizer.ImageData(*size, cykooz_resizer.PixelType.U8x3, pixels)
    result = cykooz_resizer.ImageData(*target, cykooz_resizer.PixelType.U8x3)
    options = cykooz_resizer.ResizeOptions(LANCZOS, crop_box=cykooz_resizer.CropBox(0, 0, *box))
    # A resizer keeps buffers and serves one thread: a new one costs microseconds.
    cykooz_resizer.Resizer().resize(source, result, options)
    return Image.frombuffer("RGB", target, result.get_buffer(), "raw", "RGB", 0, 1)
