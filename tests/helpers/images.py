"""Images of tests, and how they are loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from butterflyer_jax.data import photo

BIG = 10**8
IMAGES = Path(__file__).parent.parent / "data" / "images"


def gradient(width: int = 90, height: int = 60) -> Image.Image:
    """Red grows to the right, green downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


def textured(width: int, height: int) -> Image.Image:
    """A picture with edges and fine detail everywhere."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 12, width // 12, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray((pixels + rng.integers(-8, 9, (height, width, 1))).clip(0, 255).astype(np.uint8))


def load(data: bytes, image_size: int = 60, max_pixels: int = BIG) -> Image.Image:
    return photo.load(data, image_size, max_pixels)[0]
