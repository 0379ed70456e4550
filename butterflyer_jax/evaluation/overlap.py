"""Photos of an evaluation that the run was trained on or corrected by: the same content, or a near-duplicate of it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from butterflyer_jax import runs
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data.ingest import duplicates
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files

# In the folder of a corrected run.
CORRECTIONS_FILE = "corrections.json"


@dataclass(frozen=True)
class Overlap:
    """Number of photos of an evaluation that the run was trained on.

    Attributes:
      same: number of photos whose stored content is that of a training photo.
      near: number of further photos that are near-duplicates of a training photo.
    """

    same: int
    near: int


def count(run: runs.Run, data: Data, splits: Sequence[str], is_own: bool) -> Overlap | None:
    """Counts photos that the run was trained on; returns None if its own data set is missing or fake.

    Args:
      run: the run that is evaluated.
      data: the open data set of the evaluation.
      splits: the splits that are evaluated.
      is_own: whether that data set is the run's own; the builder keeps its near-duplicates in one split.
    """
    if is_own:
        return Overlap(data.num_photos("train") if "train" in splits else 0, 0)
    if run.dataset == dataset_lib.FAKE:
        return None
    try:
        once = run.config.replace(data=dataclasses.replace(run.config.data, mode="auto"))
        own = dataset_lib.open_data(run.dataset, once)
    except UserError:
        return None
    try:
        trained = list(own.jpegs("train", range(own.num_photos("train"))))
    finally:
        own.close()
    taught = read_corrections(run)
    contents = {*map(content_of, trained), *(content for content, _ in taught)}
    others = [
        jpeg
        for split in splits
        for jpeg in data.jpegs(split, range(data.num_photos(split)))
        if content_of(jpeg) not in contents
    ]
    total = sum(data.num_photos(split) for split in splits)
    hashes = [*map(hash_of, trained), *(perceptual for _, perceptual in taught)]
    groups = duplicates.group([*hashes, *map(hash_of, others)], run.config.build.near_duplicate_bits)
    near = np.isin(groups[len(hashes) :], groups[: len(hashes)])
    return Overlap(total - len(others), int(near.sum()))


def read_corrections(run: runs.Run) -> list[tuple[str, str]]:
    """Returns content and perceptual hash of each photo by which the last layer was corrected.

    Raises:
      UserError: the list in the run folder is damaged.
    """
    file = run.folder / CORRECTIONS_FILE
    if not files.exists(file):
        return []
    try:
        return [(str(content), str(perceptual)) for content, perceptual in json.loads(files.read_text(file))]
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is damaged: {error}") from error


def content_of(jpeg: bytes) -> str:
    """Returns the SHA-256 of a stored photo, hexadecimal."""
    return hashlib.sha256(jpeg).hexdigest()


def hash_of(jpeg: bytes) -> str:
    """Returns the perceptual hash of a stored photo, hexadecimal."""
    return duplicates.perceptual_hash(Image.open(io.BytesIO(jpeg)).convert("RGB"))
