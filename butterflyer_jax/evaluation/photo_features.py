"""Stored photos as evaluation sees them, and what the layers below the last one make of them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32, Integer
from PIL import Image

from butterflyer_jax import runs
from butterflyer_jax.data import photo
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.metrics.last_layer import Layer
from butterflyer_jax.models.features import LAST_LAYER

BATCH = 64


def read_photos(
    data: Data, split: str, numbers: Integer[np.ndarray, " count"], framed: bool = True
) -> Iterator[Image.Image]:
    """Yields photos of a split, by their places in the order of `Data.eval_batches`.

    Args:
      data: an open data set.
      split: the split.
      numbers: int [count], the places.
      framed: whether the surroundings of its box stand for a photo, as they do in evaluation; see `Data.frames`.
    """
    frames = data.frames(split) if framed else None
    for number, jpeg in zip(numbers.tolist(), data.jpegs(split, numbers.tolist()), strict=True):
        image = Image.open(io.BytesIO(jpeg)).convert("RGB")
        top, left, height, width = (0, 0, 0, 0) if frames is None else frames[number].tolist()
        yield image.crop((left, top, left + width, top + height)) if height else image


def last_layer(loaded: runs.LoadedModel) -> Layer:
    """Returns the last layer of a model."""
    layer = loaded.variables.params[LAST_LAYER]
    return Layer(np.asarray(layer["kernel"]), np.asarray(layer["bias"]))


def look_below(
    loaded: runs.LoadedModel, photos: Iterable[Image.Image]
) -> tuple[Float32[np.ndarray, "count width"], Float32[np.ndarray, "count num_features"]]:
    """Returns what the layers below the last one make of photos.

    Returns:
      The inputs of the last layer, float32 [count, width], and features, float32 [count, num_features].
    """
    config = loaded.config
    pixels = (photo.central_crop(one, config.data.eval_crop_fraction, config.data.image_size) for one in photos)
    inputs, features = [], []
    while of_batch := list(itertools.islice(pixels, BATCH)):
        batch = np.stack(of_batch)
        padded = np.pad(batch, [(0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)])
        _, of_maps, seen = loaded.features_of(loaded.variables, padded)
        inputs.append(seen[: len(batch)])
        features.append(of_maps[: len(batch)])
    return np.concatenate(inputs), np.concatenate(features)
