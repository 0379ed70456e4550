"""Crops scaled on the device, against Pillow's."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from butterflyer_jax.preprocessing.images import resize_windows

HEIGHT, WIDTH = 48, 61
# One shape a size, so that few functions are compiled.
NUM_WINDOWS = 6

resize = jax.jit(resize_windows, static_argnums=2)


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int, int]:
    height, width = draw(st.integers(1, HEIGHT)), draw(st.integers(1, WIDTH))
    return draw(st.integers(0, HEIGHT - height)), draw(st.integers(0, WIDTH - width)), height, width


def photos(count: int = NUM_WINDOWS, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def crop(image: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    top, left, height, width = window
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def exact(image: np.ndarray, size: int) -> np.ndarray:
    """Pillow's result without rounding to bytes: its floating-point mode, channel by channel."""
    channels = [Image.fromarray(np.float32(image[..., c])) for c in range(3)]
    return np.stack([np.asarray(c.resize((size, size), Image.Resampling.BILINEAR)) for c in channels], axis=-1)


@settings(max_examples=40)
@given(
    chosen=st.lists(windows(), min_size=NUM_WINDOWS, max_size=NUM_WINDOWS),
    size=st.sampled_from([1, 7, 32, 97]),
)
@example(chosen=[(0, 0, 1, 1), (47, 60, 1, 1), (0, 0, 48, 61), (0, 0, 1, 61), (0, 60, 48, 1), (5, 5, 2, 3)], size=32)
def test_pixels_are_pillows(chosen: list[tuple[int, int, int, int]], size: int) -> None:
    images = photos()
    out = np.asarray(resize(images, np.int32(chosen), size))
    assert out.shape == (NUM_WINDOWS, size, size, 3)
    for image, window, result in zip(images, chosen, out, strict=True):
        part = crop(image, window)
        np.testing.assert_allclose(result, exact(part, size), atol=5e-3)
        # Pillow rounds to bytes after each of its two passes.
        bytes_ = np.asarray(Image.fromarray(part).resize((size, size), Image.Resampling.BILINEAR), np.float32)
        assert abs(result - bytes_).max() < 1.01


def test_a_real_size_is_pillows() -> None:
    images = photos(2, 344, 344)
    chosen = [(13, 40, 300, 290), (0, 0, 100, 120)]
    for image, window, result in zip(images, chosen, resize(images, np.int32(chosen), 224), strict=True):
        np.testing.assert_allclose(result, exact(crop(image, window), 224), atol=5e-3)


@settings(max_examples=10)
@given(window=windows(), seed=st.integers(0, 100))
def test_what_lies_outside_the_window_changes_no_bit(window: tuple[int, int, int, int], seed: int) -> None:
    top, left, height, width = window
    image = photos(1)
    other = np.random.default_rng(seed + 1).integers(0, 256, image.shape, np.uint8)
    other[:, top : top + height, left : left + width] = image[:, top : top + height, left : left + width]
    np.testing.assert_array_equal(resize(image, np.int32([window]), 32), resize(other, np.int32([window]), 32))


def test_a_window_of_the_target_size_is_copied() -> None:
    images = photos(2, 32, 32)
    np.testing.assert_array_equal(resize(images, np.int32([[0, 0, 32, 32]] * 2), 32), images)
    images = photos(1)
    np.testing.assert_array_equal(resize(images, np.int32([[9, 17, 32, 32]]), 32)[0], images[0, 9:41, 17:49])


@pytest.mark.parametrize("size", [1, 32])
def test_an_empty_window_is_black(size: int) -> None:
    np.testing.assert_array_equal(resize(photos(1), np.zeros((1, 4), np.int32), size), np.zeros((1, size, size, 3)))
