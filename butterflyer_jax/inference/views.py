"""Images as a predictor takes them, and what the network sees of each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from butterflyer_jax import cores
from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.inference import inputs
from butterflyer_jax.inference.search import Box

T = TypeVar("T")
Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | inputs.Picture


@dataclass(frozen=True)
class View:
    """What the network sees of an image.

    Attributes:
      pixels: uint8 [image_size, image_size, 3].
      shown: returns the same part in the size in which it was cut.
      box: where it lies in the image, pixels; None for the central square of an image that was not searched.
    """

    pixels: UInt8[np.ndarray, "side side 3"]
    shown: Callable[[], np.ndarray]
    box: Box | None = None


def is_one(images: Source | Iterable[Source]) -> TypeGuard[Source]:
    """Returns whether this is an image rather than several; an array of four dimensions is several."""
    if isinstance(images, np.ndarray):
        return images.ndim != 4
    return isinstance(images, str | os.PathLike | bytes | Image.Image | inputs.Picture)


def in_batches(load: Callable[[Source], T], images: Iterable[Source], size: int) -> Iterator[list[T]]:
    """Yields the results of `load` for the images, batch by batch, each batch in threads."""
    rest = iter(images)
    with ThreadPoolExecutor(cores.usable()) as pool:
        while chunk := list(itertools.islice(rest, size)):
            yield list(pool.map(load, chunk))


def or_reason(load: Callable[[Source], T], source: Source) -> T | str:
    """Returns what `load` makes of an image, or the reason why it cannot be read."""
    try:
        return load(source)
    except OSError as error:
        return error.strerror or str(error)
    except (photo.PhotoError, UserError) as error:
        return str(error)


def read(source: Source) -> bytes | Image.Image:
    """Returns the content of a picture file, or an image that is open already.

    Raises:
      UserError: the file cannot be read.
      PhotoError: an array is not uint8 [height, width, 3].
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3:
            raise photo.PhotoError(f"an array must be uint8 [height, width, 3], not {source.dtype} {source.shape}")
        return Image.fromarray(source)
    if isinstance(source, bytes | Image.Image):
        return source
    if not isinstance(source, inputs.Picture):
        source = inputs.Picture(os.fspath(source))
    return source.read()


def to_image(content: bytes | Image.Image, image_size: int, max_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """Returns an upright RGB image, scaled as the builder scales it, and its own width and height.

    Args:
      content: content of a picture file, or an open image.
      image_size: length of the short side, pixels.
      max_pixels: size above which an image is refused, pixels.

    Raises:
      PhotoError: the image is damaged or too large.
    """
    if isinstance(content, Image.Image):
        upright = photo.upright_rgb(content)
        return photo.resize_short_side(upright, image_size, max_pixels), upright.size
    image, source = photo.load(content, image_size, max_pixels)
    return image, source.size
