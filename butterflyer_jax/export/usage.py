"""The code in the model card: from a photo file to a name, by the export's runtime, NumPy and Pillow alone."""

from __future__ import annotations

from types import ModuleType

from butterflyer_jax.export.network import Network

# Of every format: what its `READ` leaves to NumPy and Pillow.
PACKAGES = ("numpy", "pillow")
_PHOTO = """
import pathlib

import numpy as np
from PIL import Image, ImageOps

species = (pathlib.Path(path) / "species.txt" if pathlib.Path(path).is_dir() else pathlib.Path(path + ".species.txt"))
species = species.read_text(encoding="utf-8").splitlines()

def pixels_of(photo):
    # Upright, in RGB; scaled by the short side, the central square of it, and that scaled.
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    scale = {short_side} / min(image.size)
    size = [max({short_side}, round(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.LANCZOS)
    side = {square}
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize(({image_size}, {image_size}), Image.Resampling.BILINEAR))

def name(photo):
    answer = np.asarray(probabilities(pixels_of(photo)[None]))[0]
    return species[answer.argmax()], float(answer.max())
"""

_REFUSAL = """
def is_none_of_these(photo):
    # As the run refuses it, whatever the probabilities are.
    return float(np.asarray(answer(pixels_of(photo)[None])["typicality"])[0]) > {limit!r}
"""


def code(writer: ModuleType, network: Network) -> str:
    """Returns Python code that defines `probabilities`, `pixels_of` and `name` of a photo file; `path` is the export's.

    Where the export has the run's typicality, it defines `is_none_of_these` of a photo file too.

    Args:
      writer: module of the format.
      network: network that was written.
    """
    square = max(1, round(network.short_side * network.data.eval_crop_fraction))
    photo = _PHOTO.format(short_side=network.short_side, square=square, image_size=network.image_size)
    parts = [writer.READ, photo]
    if network.typicality is not None and writer.HAS_TYPICALITY:
        parts.append(_REFUSAL.format(limit=float(network.typicality.limit)))
    return "\n\n".join(part.strip() for part in parts)


def needs(writer: ModuleType) -> str:
    """Returns what has to be installed, and set, for the code."""
    return f"{', '.join([*writer.READ_NEEDS, *PACKAGES])}{writer.READ_NOTE}"
