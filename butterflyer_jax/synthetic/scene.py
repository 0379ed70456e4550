"""The butterfly's surroundings: a background out of focus, leaves, flowers, grass."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from butterflyer_jax.synthetic.primitives import Array, Rng, fill, pick, smooth_noise

# Far, middle and near ground.
SETTINGS = (
    ((166, 194, 120), (104, 140, 60), (66, 104, 46)),
    ((98, 118, 66), (48, 74, 42), (36, 54, 34)),
    ((146, 186, 226), (188, 208, 222), (126, 156, 94)),
    ((204, 178, 142), (168, 136, 100), (126, 100, 72)),
    ((222, 176, 144), (158, 126, 122), (82, 86, 68)),
)
BLOSSOMS = ((238, 124, 164), (242, 230, 238), (246, 212, 88), (154, 124, 214), (230, 98, 74), (124, 154, 234))
LEAVES = ((108, 148, 64), (72, 118, 60), (146, 164, 88), (164, 148, 84))


def draw_leaf(
    draw: ImageDraw.ImageDraw, base: Array, tip: Array, width: float, colour: Array, rng: Rng, fullest: float = 0.42
) -> None:
    """A leaf, blade of grass or petal, broadest at `fullest` of its length: one half lit, one in the shade."""
    t, along = np.linspace(0, 1, 16)[:, None], tip - base
    across = np.array([-along[1], along[0]])
    spine = base + along * t + across * rng.uniform(-0.6, 0.6) * t * (1 - t)
    profile = np.sin(np.pi * t ** (math.log(0.5) / math.log(fullest))) ** 0.8
    half = across / max(1, np.hypot(*along)) * width / 2 * profile
    colour = colour * rng.uniform(0.86, 1.1)
    for edge, brightness in ((spine + half, 1.1), (spine - half, 0.88)):
        draw.polygon(np.concatenate([spine, edge[::-1]]).ravel().tolist(), fill(colour, brightness))
        for rib in range(2, 12, 2) if width > 20 else ():
            draw.line([*spine[rib], *(0.9 * edge + 0.1 * spine)[rib + 2]], fill(colour, brightness * 1.1))
    if fullest < 0.5:
        draw.line(spine.ravel().tolist(), fill(colour, 1.3), max(1, round(width / 24)))


def draw_flower(draw: ImageDraw.ImageDraw, centre: Array, size: float, rng: Rng) -> None:
    """A flower seen from above, `size` its radius."""
    petals, colour = int(rng.integers(8, 15)), pick(rng, BLOSSOMS)
    for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False) + rng.uniform(0, 1):
        tip = centre + size * rng.uniform(0.9, 1.05) * np.array([math.cos(angle), math.sin(angle)])
        draw_leaf(draw, centre, tip, size * 4.6 / petals, colour, rng, fullest=0.68)
    draw.circle(tuple(centre), size * 0.24, (198, 150, 44, 255))


def draw_grass(draw: ImageDraw.ImageDraw, size: Array, rng: Rng) -> None:
    """Blades of grass, and perhaps a leaf, in front of the butterfly."""
    short, colour = float(min(size)), pick(rng, LEAVES)
    for _ in range(rng.integers(0, 5)):
        base, tip = size * (rng.random(), 1.05), size * rng.uniform((0, 0.2), (1, 0.8))
        draw_leaf(draw, base, tip, short * rng.uniform(0.015, 0.045), colour, rng)
    if rng.random() < 0.35:
        corner = size * (rng.integers(2), rng.uniform(0.3, 1))
        tip = corner + (size / 2 - corner) * rng.uniform(0.4, 0.75)
        draw_leaf(draw, corner, tip, short * 0.15, colour, rng)


def draw_background(rng: Rng, width: int, height: int) -> Image.Image:
    """Surroundings out of focus and, sharper, the flower or leaf that the butterfly sits on, RGB."""
    tones = np.array(SETTINGS[rng.integers(len(SETTINGS))]) * rng.uniform(0.8, 1.15)
    # All of it is more or less out of focus, so half the size will do.
    size = np.array([width, height]) // 2
    short, stops = float(min(size)), np.linspace(0, 2, size[1])
    colour = np.stack([np.interp(stops, (0, 1, 2), tones[:, channel]) for channel in range(3)], -1)[:, None]
    colour = colour * (1 + 0.2 * smooth_noise(rng, (5, 7), (size[1], size[0])))[..., None]
    image = Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8))
    for blur in (0.05, 0.02):
        draw = ImageDraw.Draw(image)
        for _ in range(rng.integers(4, 9)):
            base, tip = size * (rng.uniform(-0.1, 1.1), 1.1), size * rng.uniform((-0.1, -0.1), (1.1, 0.6))
            draw_leaf(draw, base, tip, short * rng.uniform(0.02, 0.1), pick(rng, LEAVES), rng)
        for _ in range(rng.integers(0, 4)):
            draw_flower(draw, size * rng.random(2), short * rng.uniform(0.06, 0.16), rng)
        image = image.filter(ImageFilter.GaussianBlur(short * blur))
    bokeh = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.integers(6, 26)):
        tint, alpha = fill(tones[rng.integers(2)], 1.5)[:3], int(rng.integers(25, 80))
        centre, radius = tuple(size * rng.random(2)), short * rng.uniform(0.02, 0.08)
        bokeh.circle(centre, radius, (*tint, alpha), (*tint, alpha + 15))
    image = image.filter(ImageFilter.GaussianBlur(short * 0.008))

    draw, middle = ImageDraw.Draw(image), size * rng.uniform(0.42, 0.58, 2)
    if rng.random() < 0.5:
        stem = size * (rng.uniform(0.3, 0.7), 1.1)
        draw_leaf(draw, middle, stem, short * 0.03, pick(rng, LEAVES), rng)
        draw_flower(draw, middle, short * rng.uniform(0.28, 0.42), rng)
    else:
        angle, reach = rng.uniform(0, 2 * np.pi), short * rng.uniform(0.5, 0.8)
        away = reach * np.array([math.cos(angle), math.sin(angle)])
        draw_leaf(draw, middle - away, middle + away, reach * 0.6, pick(rng, LEAVES), rng)
    return image.filter(ImageFilter.GaussianBlur(short * 0.009)).resize((width, height), Image.Resampling.BICUBIC)
