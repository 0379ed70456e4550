"""Types, colours and noise that the drawing modules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image

Array: TypeAlias = np.ndarray
Rng: TypeAlias = np.random.Generator


def smooth_noise(rng: Rng, coarse: tuple[int, int], size: tuple[int, int]) -> Array:
    """Noise of (rows, columns) cells between -1 and 1, enlarged smoothly to (height, width), float32."""
    cells = Image.fromarray(rng.uniform(-1, 1, coarse).astype(np.float32))
    return np.asarray(cells.resize(size[::-1], Image.Resampling.BICUBIC))


def pick(rng: Rng, colours: Sequence[Sequence[int]]) -> Array:
    """One of the colours, a little darker or brighter, float (3,)."""
    return np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.8, 1.1)


def fill(colour: Array, brightness: float = 1.0) -> tuple[int, ...]:
    """The colour as Pillow wants it, RGBA and opaque."""
    return *(int(channel) for channel in np.clip(colour * brightness, 0, 255)), 255
