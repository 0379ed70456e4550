"""Scaling with and without cykooz-resizer."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax.data import photo, resize
from tests.conftest import make_photo


@pytest.fixture
def without_cykooz(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module as it is where the package cannot be imported."""
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    importlib.reload(resize)
    assert resize.cykooz_resizer is None
    yield
    monkeypatch.undo()
    importlib.reload(resize)


@pytest.mark.parametrize("kernel", ["lanczos", "triangle"])
@pytest.mark.parametrize("target", [(31, 24), (90, 75), (64, 20)])
@pytest.mark.parametrize("box", [None, (62.5, 55.25)])
def test_pillow_scales_as_cykooz_does(
    kernel: resize.Kernel,
    target: tuple[int, int],
    box: tuple[float, float] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Image.open(io.BytesIO(make_photo(0))) as image:
        pixels = image.tobytes()
    fast = np.frombuffer(resize.resize(pixels, (64, 56), target, kernel, box), np.uint8)
    monkeypatch.setattr(resize, "cykooz_resizer", None)
    slow = np.frombuffer(resize.resize(pixels, (64, 56), target, kernel, box), np.uint8)
    assert fast.shape == slow.shape == (3 * target[0] * target[1],)
    difference = np.abs(fast.astype(int) - slow)
    assert difference.max() <= 2 and difference.mean() < 0.5


@pytest.mark.parametrize("size", [(64, 56), (3000, 2100)])
@pytest.mark.parametrize("shrunk", [1.0, 0.97])
def test_images_are_scaled_as_their_pixels(
    size: tuple[int, int], shrunk: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the second size Pillow keeps the rows in several blocks."""
    with Image.open(io.BytesIO(make_photo(0))) as photo_of_64_pixels:
        image = photo_of_64_pixels.resize(size)
    box = (size[0] * shrunk, size[1] * shrunk)
    expected = resize.resize(image.tobytes(), size, (40, 30), "lanczos", box)
    assert resize.resample(image, (40, 30), box).tobytes() == expected
    pixels = np.dstack([np.asarray(image), np.full(size[::-1], 7, np.uint8)])
    scaled = resize.resample_pixels(pixels, (40, 30), box)
    assert (scaled.mode, scaled.tobytes()) == ("RGB", expected)
    assert resize.resample_pixels(pixels, size, size).tobytes() == image.tobytes()
    monkeypatch.setattr(resize, "cykooz_resizer", None)
    by_pillow = np.frombuffer(resize.resample_pixels(pixels, (40, 30), box).tobytes(), np.uint8)
    assert np.abs(by_pillow.astype(int) - np.frombuffer(expected, np.uint8)).max() <= 2


@pytest.mark.usefixtures("without_cykooz")
def test_a_photo_is_decoded_without_cykooz() -> None:
    image, _ = photo.load(make_photo(1, 300, 200), 48, 10**6)
    assert image.size == (72, 48)
    assert photo.central_crop(image, 0.9, 32).shape == (32, 32, 3)
