"""Images as a predictor takes them, and what the network sees of each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard, TypeVar, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from butterflyer_jax import cores
from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.inference import inputs
from butterflyer_jax.inference.search import Box
from butterflyer_jax.storage import files, paths

T = TypeVar("T")
KINDS = "paths, URLs, bytes of picture files, PIL images and uint8 arrays [height, width, 3]"
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
    """Returns whether this is an image rather than several; an array of four dimensions, or of paths, is several.

    Raises:
      UserError: it is neither.
    """
    if isinstance(images, str | os.PathLike | bytes | Image.Image | inputs.Picture):
        return True
    if _is_array(images):
        return cast(np.ndarray, images).ndim not in (1, 4)
    if not isinstance(images, Iterable):
        raise UserError(_no_image(images))
    return False


def _is_array(value: object) -> bool:
    """Returns whether this is an array of numpy, or of a library whose arrays numpy reads, such as JAX."""
    return hasattr(value, "__array__") and hasattr(value, "ndim")


def _no_image(value: object) -> str:
    return f"{KINDS} are images, not {type(value).__name__}"


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
      PhotoError: it is no image, or an array is not uint8 [height, width, 3], or 4 with opacity.
    """
    if isinstance(source, bytes | Image.Image):
        return source
    if isinstance(source, inputs.Picture):
        return source.read()
    if isinstance(source, str | os.PathLike):
        return _read_file(os.fspath(source))
    if not _is_array(source):
        raise photo.PhotoError(_no_image(source))
    array = np.asarray(source)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (3, 4):
        raise photo.PhotoError(f"an array must be uint8 [height, width, 3], not {array.dtype} {array.shape}")
    return Image.fromarray(array)


def _read_file(name: str) -> bytes:
    try:
        return inputs.Picture(name).read()
    except UserError as error:
        if inputs.is_url(name) or not files.is_folder(paths.path(name)):
            raise
        raise UserError(
            f"{name} is a folder: take the paths in it, as by sorted(pathlib.Path(folder).rglob('*.jpg')), "
            "or butterflyer predict"
        ) from error


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
