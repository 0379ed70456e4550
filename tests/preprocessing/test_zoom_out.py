"""Zoom-out and blur: what they draw, against Pillow and NumPy."""

from __future__ import annotations

import jax
import numpy as np
from PIL import Image, ImageFilter

from butterflyer_jax.preprocessing.zoom_out import blur, zoom_out

COUNT, SIZE = 60, 32


def photo(height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """Smooth, float32 from 0 to 1."""
    coarse = np.random.default_rng(0).integers(20, 231, (5, 5, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) / 255


def zoomed(image: np.ndarray, largest: float, seed: int = 0) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), COUNT)
    return np.asarray(zoom_out(np.stack([image] * COUNT), keys, largest))


def unchanged(out: np.ndarray, image: np.ndarray) -> np.ndarray:
    return (out == image).all(axis=(1, 2, 3))


def test_half_of_the_photos_stay_bit_by_bit() -> None:
    image = photo()
    out = zoomed(image, 3.0)
    assert 0.3 < unchanged(out, image).mean() < 0.7
    assert np.isfinite(out).all()
    assert out.min() >= -1e-6
    assert out.max() <= 1 + 1e-6
    np.testing.assert_array_equal(out, zoomed(image, 3.0), "the same keys, the same images")


def test_the_photo_gets_smaller_and_lies_anywhere() -> None:
    # A green photo: what is purely green in the frame is the photo.
    green = np.zeros((SIZE, SIZE, 3), np.float32)
    green[..., 1] = 1
    areas, centres = [], []
    for seed in range(6):
        out = zoomed(green, 3.0, seed)
        inside = (abs(out - green) < 1e-4).all(axis=-1)
        for mask in inside[inside.mean(axis=(1, 2)) < 0.99]:
            assert mask.any(), "its middle is opaque"
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            areas.append(mask.mean())
            centres.append((rows.mean() / SIZE, columns.mean() / SIZE))
    # A factor of 3 is a ninth of the area; the fading edge takes some of that.
    assert 1 / 9 / 3 < min(areas) < 0.2
    assert max(areas) > 0.5
    low, high = np.min(centres, axis=0), np.max(centres, axis=0)
    assert (low < 0.3).all()
    assert (high > 0.7).all()


def test_a_third_are_continued_by_their_reflection() -> None:
    """A plain photo's reflection is as plain: only surroundings of other colours show."""
    plain = np.full((SIZE, SIZE, 3), 0.25, np.float32)
    same = [abs(zoomed(plain, 3.0, seed) - plain).max(axis=(1, 2, 3)) < 1e-5 for seed in range(10)]
    # Half are left alone, a third of the others reflected.
    assert 0.6 < np.mean(same) < 0.73


def test_a_smaller_photo_is_pillows() -> None:
    """With a factor of nearly 1 nothing but the edge changes."""
    image = photo()
    middle = slice(SIZE // 2 - 4, SIZE // 2 + 4)
    out = zoomed(image, 1.0001)
    np.testing.assert_allclose(out[:, middle, middle], np.stack([image] * COUNT)[:, middle, middle], atol=0.01)


def test_photos_need_not_be_square() -> None:
    image = photo(24, 40)
    assert zoomed(image, 2.0).shape == (COUNT, 24, 40, 3)
    assert blurred(image, 0.05).shape == (COUNT, 24, 40, 3)


def blurred(image: np.ndarray, largest: float) -> np.ndarray:
    return np.asarray(blur(np.stack([image] * COUNT), jax.random.split(jax.random.key(1), COUNT), largest))


def test_half_are_blurred_by_up_to_the_largest_deviation() -> None:
    sharp = np.zeros((64, 64, 3), np.float32)
    sharp[:, 32:] = 1
    out = blurred(sharp, 0.05)
    sharp_ones = unchanged(out, sharp)
    assert 0.3 < sharp_ones.mean() < 0.7
    # The slope of an edge says the deviation, 1 / (sqrt(2 pi) sigma).
    steepest = np.diff(out[~sharp_ones, 20, :, 0], axis=1).max(axis=1)
    deviations = 1 / (np.sqrt(2 * np.pi) * steepest)
    assert deviations.min() < 1
    assert 2.6 < deviations.max() < 3.3, "0.05 of 64 pixels are 3.2"
    # The most blurred one is Pillow's.
    strongest = int(np.argmax(deviations))
    theirs = Image.fromarray(np.uint8(sharp * 255)).filter(ImageFilter.GaussianBlur(float(deviations[strongest])))
    ours = out[~sharp_ones][strongest]
    np.testing.assert_allclose(ours[20:44, 16:48], (np.asarray(theirs) / 255)[20:44, 16:48], atol=0.04)
