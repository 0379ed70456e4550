"""Scaling of RGB pixels: by cykooz-resizer, or by Pillow on platforms that it has no wheel for.

Both convolve with the same antialiased kernels, in 8 bits between the two directions; on photos they differ by two
levels of 255 at most. Pillow takes about three times as long.
"""

from __future__ import annotations

from typing import Literal

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
    filters = {"lanczos": cykooz_resizer.FilterType.lanczos3, "triangle": cykooz_resizer.FilterType.bilinear}
    source = cykooz_resizer.ImageData(*size, cykooz_resizer.PixelType.U8x3, pixels)
    result = cykooz_resizer.ImageData(*target, cykooz_resizer.PixelType.U8x3)
    options = cykooz_resizer.ResizeOptions(
        cykooz_resizer.ResizeAlg.convolution(filters[kernel]), crop_box=cykooz_resizer.CropBox(0, 0, *(box or size))
    )
    # A resizer keeps buffers and serves one thread: a new one costs microseconds.
    cykooz_resizer.Resizer().resize(source, result, options)
    scaled: bytes = result.get_buffer()
    return scaled


def resample(pixels: bytes, size: tuple[int, int], target: tuple[int, int], box: tuple[float, float]) -> Image.Image:
    """Scales RGB pixels by Lanczos to an image.

    Args:
      pixels: uint8 RGB, row by row.
      size: width and height of `pixels`.
      target: width and height of the image.
      box: width and height of the upper left part that is scaled, in pixels and fractions of them.
    """
    if size == target == box:
        return Image.frombuffer("RGB", size, pixels, "raw", "RGB", 0, 1)
    scaled = resize(pixels, size, target, "lanczos", box)
    return Image.frombuffer("RGB", target, scaled, "raw", "RGB", 0, 1)
