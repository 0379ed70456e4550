"""Images that show no butterfly, drawn from photos that do, and the same photos in another light and framing."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from butterflyer_jax.data.negative_drawings import SIDE, Drawing, plan_handwriting, plan_page, plan_shapes, plan_thing

# Side of the part of a photo without a species that is taken, as a share of its short side.
PARTS = (0.6, 1.0)


def draw_negative(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a square RGB image that shows no species, made from a photo.

    It is of one of eight kinds: a corner of the photo, five times as often as any other kind, its tiles shuffled, the
    photo heavily blurred, noise with the photo's spectrum (its Fourier phases are random), shapes and noise, a page of
    text, handwriting, or a thing drawn in the colours of the photo on a corner of it.

    Args:
      photo: photo of a species.
      rng: generator that draws the kind and its parameters.
    """
    return plan_negative(photo, rng)()


def plan_negative(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    """Returns the function that returns what `draw_negative` would, and leaves `rng` in the same state.

    So several threads can draw images whose random numbers come from one generator.
    """
    of_photo = (*[_corner] * 5, _shuffled, _blurred, _random_phases, _thing)
    drawn = (plan_shapes, plan_page, plan_handwriting)
    number = int(rng.integers(len(of_photo) + len(drawn)))
    return of_photo[number](photo, rng) if number < len(of_photo) else drawn[number - len(of_photo)](rng)


def draw_part(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a square part of a photo that shows no species, of a random size and place."""
    side = max(1, round(min(photo.size) * rng.uniform(*PARTS)))
    left, top = (int(rng.integers(size - side + 1)) for size in photo.size)
    return photo.crop((left, top, left + side, top + side))


def plan_shift(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    """Returns the function that returns the photo, RGB, in other light; see `plan_negative`.

    It is 0.45 to 1.5 times as bright, at times blurred or turned by up to 15 degrees.
    """
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


def plan_view(photo: Image.Image, other: Image.Image, rng: np.random.Generator) -> Drawing:
    """Returns the function that returns a photo, square and RGB, as another camera may see it; see `plan_negative`.

    It is 0.45 to 1.5 times as bright, and at times turned by up to 30 degrees; smaller, on its own reflections or a
    corner of another photo, or closer; of other contrast, saturation and white balance; and blurred.

    Args:
      photo: photo of a species.
      other: photo that surroundings are taken from.
      rng: generator of all that is random.
    """
    degrees = float(rng.uniform(-30, 30)) if rng.random() < 0.3 else None
    framing = rng.random()
    smaller = float(rng.uniform(0.4, 0.9)) if framing < 0.4 else None
    closer = float(np.sqrt(rng.uniform(0.5, 1))) if 0.4 <= framing < 0.7 else None
    ground = _corner(other, rng) if rng.random() < 0.5 else None
    places, brightness = rng.random(2), float(rng.uniform(0.45, 1.5))
    contrast, saturation = (
        float(rng.uniform(*span)) if rng.random() < 0.5 else 1.0 for span in ((0.5, 1.5), (0.4, 1.6))
    )
    gains = rng.uniform(0.8, 1.2, 3) if rng.random() < 0.5 else None
    blur = float(rng.uniform(0, 0.015)) if rng.random() < 0.3 else 0.0

    def draw() -> Image.Image:
        side = min(photo.size)
        image = ImageOps.fit(photo.convert("RGB"), (side, side))
        if degrees is not None:
            turned = _surrounded(image, side // 3, side // 3, side + 2 * (side // 3))
            image = turned.rotate(degrees, Image.Resampling.BILINEAR).crop(
                (side // 3, side // 3, side // 3 + side, side // 3 + side)
            )
        inner = max(1, round(side * (smaller or closer or 1)))
        left, top = (int(place * (side - inner + 1)) for place in places)
        if smaller is not None:
            small = image.resize((inner, inner))
            image = _surrounded(small, left, top, side) if ground is None else ground().resize((side, side))
            image.paste(small, (left, top))
        elif closer is not None:
            image = image.crop((left, top, left + inner, top + inner))
        image = ImageEnhance.Brightness(image).enhance(brightness)
        image = ImageEnhance.Color(ImageEnhance.Contrast(image).enhance(contrast)).enhance(saturation)
        if gains is not None:
            image = Image.fromarray((np.asarray(image) * gains).clip(0, 255).astype(np.uint8))
        return image.filter(ImageFilter.GaussianBlur(blur * image.width))

    return draw


def _surrounded(image: Image.Image, left: int, top: int, side: int) -> Image.Image:
    """Returns a square with the image at a place, amid reflections of it."""
    right, bottom = side - left - image.width, side - top - image.height
    return Image.fromarray(np.pad(np.asarray(image), ((top, bottom), (left, right), (0, 0)), mode="symmetric"))


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


def _thing(photo: Image.Image, rng: np.random.Generator) -> Drawing:
    ground, thing = _corner(photo, rng), plan_thing(rng)
    places = rng.random((2, 2))

    def draw() -> Image.Image:
        side = max(1, min(photo.size) // 3)
        textures = []
        for left, top in places:
            corner = int(left * (photo.width - side)), int(top * (photo.height - side))
            textures.append(photo.convert("RGB").crop((*corner, corner[0] + side, corner[1] + side)))
        return thing(ground(), _pixels(photo), textures)

    return draw


def _pixels(photo: Image.Image) -> np.ndarray:
    return np.asarray(photo.convert("RGB").resize((SIDE, SIDE)))
