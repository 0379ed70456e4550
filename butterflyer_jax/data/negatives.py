"""Images that show no butterfly, drawn from photos that do, and the same photos in another light."""

from __future__ import annotations

import numpy as np
import scipy.fft as fft
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

SIDE = 160
# Side of the part of a photo without a species that is taken, as a share of its short side.
PARTS = (0.6, 1.0)


def draw_negative(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a square RGB image that shows no species, made from a photo.

    It is of one of six kinds: a corner of the photo, twice as often as any other kind, its tiles shuffled, the photo
    heavily blurred, noise with the photo's spectrum (its Fourier phases are random), shapes and noise, or a page of
    text.

    Args:
      photo: photo of a species.
      rng: generator that draws the kind and its parameters.
    """
    kinds = (_corner, _corner, _shuffled, _blurred, _random_phases, _shapes, _page)
    return kinds[int(rng.integers(len(kinds)))](photo.convert("RGB"), rng)


def draw_part(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a square part of a photo that shows no species, of a random size and place."""
    side = max(1, round(min(photo.size) * rng.uniform(*PARTS)))
    left, top = (int(rng.integers(size - side + 1)) for size in photo.size)
    return photo.crop((left, top, left + side, top + side))


def draw_shift(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo, RGB, 0.45 to 1.5 times as bright, at times blurred or turned by up to 15 degrees."""
    shifted = ImageEnhance.Brightness(photo.convert("RGB")).enhance(float(rng.uniform(0.45, 1.5)))
    if rng.random() < 0.3:
        shifted = shifted.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.5))))
    if rng.random() < 0.3:
        shifted = shifted.rotate(float(rng.uniform(-15, 15)), resample=Image.Resampling.BILINEAR)
    return shifted


def _corner(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = max(8, int(min(photo.size) * rng.uniform(0.2, 0.35)))
    left = (0, photo.width - side)[int(rng.integers(2))]
    top = (0, photo.height - side)[int(rng.integers(2))]
    return photo.crop((left, top, left + side, top + side))


def _shuffled(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    parts = int(rng.choice([4, 8]))
    side = SIDE // parts
    pixels = np.asarray(photo.resize((SIDE, SIDE)))
    tiles = pixels.reshape(parts, side, parts, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    mixed = tiles[rng.permutation(len(tiles))].reshape(parts, parts, side, side, 3).swapaxes(1, 2)
    return Image.fromarray(mixed.reshape(SIDE, SIDE, 3))


def _blurred(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    return photo.resize((SIDE, SIDE)).filter(ImageFilter.GaussianBlur(float(rng.uniform(8, 18))))


def _random_phases(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Keeps the spectrum of the photo, its colours and its roughness, and no shape."""
    spectrum = np.abs(fft.rfft2(np.asarray(photo.resize((SIDE, SIDE)), np.float64), axes=(0, 1)))
    noise = fft.rfft2(rng.normal(size=(SIDE, SIDE)))
    phases = (noise / np.maximum(np.abs(noise), 1e-12))[:, :, None]
    pixels = fft.irfft2(spectrum * phases, (SIDE, SIDE), axes=(0, 1))
    low, high = pixels.min(), max(pixels.max(), pixels.min() + 1e-6)
    return Image.fromarray(np.rint(255 * (pixels - low) / (high - low)).astype(np.uint8))


def _shapes(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Draws up to twelve rectangles, ellipses and letters on a plain ground, at times under noise."""
    image = Image.new("RGB", (SIDE, SIDE), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 13))):
        left, top = (int(x) for x in rng.integers(0, SIDE, 2))
        box = (left, top, left + int(rng.integers(1, 70)), top + int(rng.integers(1, 70)))
        match int(rng.integers(3)):
            case 0:
                draw.rectangle(box, fill=_colour(rng))
            case 1:
                draw.ellipse(box, fill=_colour(rng))
            case _:
                letters = "".join(chr(int(x)) for x in rng.integers(65, 123, 12))
                draw.text((left, top), letters, fill=_colour(rng))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(5, 60), (SIDE, SIDE, 3))
        image = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
    return image


def _page(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Draws lines of random letters, dark on light paper or light on dark, unevenly lit, at times turned or blurred."""
    size, left, top = int(rng.integers(7, 22)), int(rng.integers(-20, 20)), int(rng.integers(-8, 20))
    ink = Image.new("L", (SIDE, SIDE), 0)
    draw = ImageDraw.Draw(ink)
    while top < SIDE:
        # Now and then a heading.
        height = size if rng.random() < 0.9 else round(1.6 * size)
        words = ("".join(chr(int(x)) for x in rng.integers(97, 123, rng.integers(2, 10))) for _ in range(14))
        draw.text((left, top), " ".join(words), fill=255, font=ImageFont.load_default(height))
        top += round(height * rng.uniform(1.2, 1.9))
    if rng.random() < 0.5:
        ink = ink.rotate(float(rng.uniform(-8, 8)), resample=Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        ink = ink.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1))))
    paper, letters = rng.uniform(150, 255) * rng.uniform(0.85, 1, 3), rng.uniform(0, 90, 3)
    if rng.random() < 0.2:
        paper, letters = letters, paper
    covered = np.asarray(ink, np.float64)[:, :, None] / 255
    light = np.linspace(1, 1 - rng.uniform(0, 0.5), SIDE)[:: int(rng.choice([-1, 1]))]
    pixels = (paper * (1 - covered) + letters * covered) * (
        light[:, None, None] if rng.random() < 0.5 else light[:, None]
    )
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(x) for x in rng.integers(0, 256, 3))
    return red, green, blue
