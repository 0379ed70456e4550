"""A whole image: the butterfly in its scene, with the blur, exposure and noise of a camera."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from butterflyer_jax.synthetic.butterfly import draw_butterfly
from butterflyer_jax.synthetic.primitives import Rng
from butterflyer_jax.synthetic.scene import draw_background, draw_grass
from butterflyer_jax.synthetic.species import Species

SUPERSAMPLING = 2


def draw_photo(species: Species, rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draws a butterfly in its surroundings; pose, light and scene are drawn from `rng`.

    RGB, `width` by `height` pixels. The same state of `rng` gives the same image.
    """
    light = rng.uniform(0, np.pi)
    image = draw_background(rng, width, height)
    butterfly = draw_butterfly(species, rng, width * SUPERSAMPLING, height * SUPERSAMPLING, light)
    draw_grass(ImageDraw.Draw(butterfly), np.array(butterfly.size), rng)
    butterfly = butterfly.reduce(SUPERSAMPLING)
    shadow = Image.new("L", (width, height))
    opacity = butterfly.getchannel("A").point([level // 2 for level in range(256)])
    shadow.paste(opacity, (round(-0.03 * width * math.cos(light)), round(0.035 * height)))
    image.paste((12, 16, 14), mask=shadow.filter(ImageFilter.BoxBlur(0.025 * width)))
    image.paste(butterfly, mask=butterfly)
    return _expose(image, rng, light)


def _expose(image: Image.Image, rng: Rng, light: float) -> Image.Image:
    """Adds what a camera does: blur, darker corners, exposure and white balance, noise."""
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
    width, height = image.size
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    corners = 1 - rng.uniform(0.02, 0.14) * (x**2 + y**2) + 0.08 * (x * math.cos(light) - y * math.sin(light))
    gains = (rng.uniform(0.86, 1.22) * (1 + rng.normal(0, 0.04, 3))).astype(np.float32)
    noise = rng.uniform(1, 5) * rng.standard_normal((height, width), np.float32)
    # Channel by channel: NumPy is slow along an axis of three.
    planes = (np.asarray(plane) * (corners * gain) + noise for plane, gain in zip(image.split(), gains, strict=True))
    return Image.merge("RGB", [Image.fromarray(np.clip(plane, 0, 255).astype(np.uint8)) for plane in planes])
