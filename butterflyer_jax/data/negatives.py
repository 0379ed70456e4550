"""Images that show no butterfly, drawn from photos that do, and the same photos in another light."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

# Makes an image whose random numbers are drawn; may run in any thread.
Drawing: TypeAlias = Callable[[], Image.Image]

SIDE = 160
# Side of the part of a photo without a species that is taken, as a share of its short side.
PARTS = (0.6, 1.0)
# By which a line of text is drawn wider than it has to be: pairs of letters may stand closer than their widths say.
WIDER = 1.2


def draw_negative(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a square RGB image that shows no species, made from a photo.

    It is of one of six kinds: a corner of the photo, twice as often as any other kind, its tiles shuffled, the photo
    heavily blurred, noise with the photo's spectrum (its Fourier phases are random), shapes and noise, or a page of
    text.

    Args:
      photo: photo of a species.
      rng: generator that draws the kind and its parameters.
    """
    return plan_negative(photo, rng)()


def plan_negative(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    """Returns the function that returns what `draw_negative` would, and leaves `rng` in the same state.

    So several threads can draw images whose random numbers come from one generator.
    """
    kinds = (_corner, _corner, _shuffled, _blurred, _random_phases, _shapes, _page)
    return kinds[int(rng.integers(len(kinds)))](photo, rng)


def draw_part(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a square part of a photo that shows no species, of a random size and place."""
    side = max(1, round(min(photo.size) * rng.uniform(*PARTS)))
    left, top = (int(rng.integers(size - side + 1)) for size in photo.size)
    return photo.crop((left, top, left + side, top + side))


def draw_shift(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo, RGB, 0.45 to 1.5 times as bright, at times blurred or turned by up to 15 degrees."""
    return plan_shift(photo, rng)()


def plan_shift(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    """Returns the function that returns what `draw_shift` would; see `plan_negative`."""
    brightness = float(rng.uniform(0.45, 1.5))
    radius = float(rng.uniform(0, 1.5)) if rng.random() < 0.3 else None
    degrees = float(rng.uniform(-15, 15)) if rng.random() < 0.3 else None

    def draw() -> Image.Image:
        shifted = ImageEnhance.Brightness(photo.convert("RGB")).enhance(brightness)
        if radius is not None:
            shifted = shifted.filter(ImageFilter.GaussianBlur(radius))
        if degrees is not None:
            shifted = shifted.rotate(degrees, resample=Image.Resampling.BILINEAR)
        return shifted

    return draw


def _corner(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    side = max(8, int(min(photo.size) * rng.uniform(0.2, 0.35)))
    left = (0, photo.width - side)[int(rng.integers(2))]
    top = (0, photo.height - side)[int(rng.integers(2))]
    return lambda: photo.convert("RGB").crop((left, top, left + side, top + side))


def _shuffled(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    parts = int(rng.choice([4, 8]))
    side, order = SIDE // parts, rng.permutation(parts * parts)

    def draw() -> Image.Image:
        pixels = _pixels(photo)
        tiles = pixels.reshape(parts, side, parts, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
        mixed = tiles[order].reshape(parts, parts, side, side, 3).swapaxes(1, 2)
        return Image.fromarray(mixed.reshape(SIDE, SIDE, 3))

    return draw


def _blurred(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    radius = float(rng.uniform(8, 18))
    return lambda: photo.convert("RGB").resize((SIDE, SIDE)).filter(ImageFilter.GaussianBlur(radius))


def _random_phases(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    """Keeps the spectrum of the photo, its colours and its roughness, and no shape."""
    # Imported here, not above: most data sets never need it.
    from scipy import fft

    drawn = rng.normal(size=(SIDE, SIDE))

    def draw() -> Image.Image:
        spectrum = np.abs(fft.rfft2(_pixels(photo).astype(np.float64), axes=(0, 1)))
        noise = fft.rfft2(drawn)
        phases = (noise / np.maximum(np.abs(noise), 1e-12))[:, :, None]
        pixels = fft.irfft2(spectrum * phases, (SIDE, SIDE), axes=(0, 1))
        low, high = pixels.min(), max(pixels.max(), pixels.min() + 1e-6)
        return Image.fromarray(np.rint(255 * (pixels - low) / (high - low)).astype(np.uint8))

    return draw


def _shapes(photo: Image.Image, rng: np.random.Generator) -> Drawing:
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
    noise = rng.normal(0, rng.uniform(5, 60), (SIDE, SIDE, 3)) if rng.random() < 0.3 else None
    if noise is None:
        return lambda: image
    return lambda: Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def _page(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    """Draws lines of random letters, dark on light paper or light on dark, unevenly lit, at times turned or blurred."""
    size, left, top = int(rng.integers(7, 22)), int(rng.integers(-20, 20)), int(rng.integers(-8, 20))
    lines = []
    while top < SIDE:
        # Now and then a heading.
        height = size if rng.random() < 0.9 else round(1.6 * size)
        words = [bytes(rng.integers(97, 123, rng.integers(2, 10)).tolist()).decode() for _ in range(14)]
        lines.append((top, height, _seen_part(words, height, SIDE - left)))
        top += round(height * rng.uniform(1.2, 1.9))
    degrees = float(rng.uniform(-8, 8)) if rng.random() < 0.5 else None
    radius = float(rng.uniform(0, 1)) if rng.random() < 0.5 else None
    paper, letters = rng.uniform(150, 255) * rng.uniform(0.85, 1, 3), rng.uniform(0, 90, 3)
    if rng.random() < 0.2:
        paper, letters = letters, paper
    light = np.linspace(1, 1 - rng.uniform(0, 0.5), SIDE)[:: int(rng.choice([-1, 1]))]
    light = light[:, None, None] if rng.random() < 0.5 else light[:, None]

    def draw() -> Image.Image:
        ink = Image.new("L", (SIDE, SIDE), 0)
        on_ink = ImageDraw.Draw(ink)
        for top, height, line in lines:
            on_ink.text((left, top), line, fill=255, font=_font(height))
        if degrees is not None:
            ink = ink.rotate(degrees, resample=Image.Resampling.BILINEAR)
        if radius is not None:
            ink = ink.filter(ImageFilter.GaussianBlur(radius))
        covered = np.asarray(ink, np.float64)[:, :, None] / 255
        return Image.fromarray(np.rint((paper * (1 - covered) + letters * covered) * light).astype(np.uint8))

    return draw


def _seen_part(words: Iterable[str], height: int, width: int) -> str:
    """Returns the line of the words that are needed to fill `width` pixels: the rest would cost most of the time."""
    widths, line, length = _widths(height), [], 0.0
    for word in words:
        line.append(word)
        length += widths[" "] + sum(widths[letter] for letter in word)
        if length > WIDER * width:
            break
    return " ".join(line)


@functools.cache
def _font(height: int) -> ImageFont.FreeTypeFont:
    """Returns the font of Pillow, of a height in pixels."""
    font = ImageFont.load_default(height)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@functools.cache
def _widths(height: int) -> dict[str, float]:
    """Returns the widths of a space and the small letters, pixels."""
    return {letter: _font(height).getlength(letter) for letter in " abcdefghijklmnopqrstuvwxyz"}


def _pixels(photo: Image.Image) -> np.ndarray:
    return np.asarray(photo.convert("RGB").resize((SIDE, SIDE)))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(x) for x in rng.integers(0, 256, 3))
    return red, green, blue
