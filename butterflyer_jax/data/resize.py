"""Scaling of RGB pixels: by cykooz-resizer, or by Pillow on platforms that it has no wheel for.

Both convolve with the same antialiased kernels, in 8 bits between the two directions; on photos they differ by two
levels of 255 at most. Pillow takes about three times as long.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

try:
    import cykooz_resizer
except ImportError:
    cykooz_resizer = None

Kernel = Literal["lanczos", "triangle"]
PILLOW_KERNELS = {"lanczos": Image.Resampling.LANCZOS, "triangle": Image.Resampling.BILINEAR}


def resize(
    pixels: bytes,
    size: tuple[int, int],
    target: tuple[int, int],
    kernel: Kernel,
    box: tuple[float, float] | None = None,
) -> bytes:
    """Scales RGB pixels.

    Args:
      pixels: uint8 RGB, row by row.
      size: width and height of `pixels`.
      target: width and height of the result.
      kernel: convolution kernel, widened when shrinking.
      box: width and height of the upper left part that is scaled, in pixels and fractions of them; None for all.

    Returns:
      uint8 RGB, row by row.
    """
    if cykooz_resizer is None:
        image = Image.frombuffer("RGB", size, pixels, "raw", "RGB", 0, 1)
        return image.resize(target, PILLOW_KERNELS[kernel], box=(0, 0, *(box or size))).tobytes()
    source = cykooz_resizer.ImageData(*size, cykooz_resizer.PixelType.U8x3, pixels)
    result = cykooz_resizer.ImageData(*target, cykooz_resizer.PixelType.U8x3)
    # A resizer keeps buffers and serves one thread: a new one costs microseconds.
    cykooz_resizer.Resizer().resize(source, result, _options(kernel, box or size))
    return result.get_buffer()


def resample(image: Image.Image, target: tuple[int, int], box: tuple[float, float]) -> Image.Image:
    """Scales an RGB image by Lanczos.

    Args:
      image: image of mode RGB.
      target: width and height of the result.
      box: width and height of the upper left part that is scaled, in pixels and fractions of them.
    """
    if image.size == target == box:
        return image
    if cykooz_resizer is None:
        return image.resize(target, PILLOW_KERNELS["lanczos"], box=(0, 0, *box))
    result = Image.new("RGB", target)
    cykooz_resizer.Resizer().resize_pil(image, result, _options("lanczos", box))
    return result


def resample_pixels(
    pixels: UInt8[np.ndarray, "height width 4"], target: tuple[int, int], box: tuple[float, float]
) -> Image.Image:
    """Scales decoded pixels by Lanczos to an RGB image.

    They are read where they lie, as Pillow keeps its own: each copy of a photo costs 0.1 to 0.3 ms.

    Args:
      pixels: uint8 [height, width, 4], of which the last channel is not used.
      target: width and height of the image.
      box: width and height of the upper left part that is scaled, in pixels and fractions of them.
    """
    image = Image.frombuffer("RGBX", pixels.shape[1::-1], pixels, "raw", "RGBX", 0, 1)
    if cykooz_resizer is None or image.size == target == box:
        return resample(image.convert("RGB"), target, box)
    # The resizer knows this mode by the name of RGB alone, of which the fourth byte is not used either.
    cykooz_resizer.alpha.set_image_mode(image, "RGB")
    return resample(image, target, box)


def _options(kernel: Kernel, box: tuple[float, float]) -> Any:
    filters = {"lanczos": cykooz_resizer.FilterType.lanczos3, "triangle": cykooz_resizer.FilterType.bilinear}
    convolution = cykooz_resizer.ResizeAlg.convolution(filters[kernel])
    return cykooz_resizer.ResizeOptions(convolution, crop_box=cykooz_resizer.CropBox(0, 0, *box))
