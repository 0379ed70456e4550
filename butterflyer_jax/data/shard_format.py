"""Files beside the shards, which the builder writes and training reads."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import IO

import numpy as np
from jaxtyping import Float32, Shaped

# The photos that share a split: near-duplicates, bursts, observations.
GROUPS_FILE = "groups.csv"
# What training reads instead of the records: where the JPEG lies in the shard, its CRC-32C, its size, its label.
INDEX = np.dtype(
    [
        ("offset", "<u8"),
        ("num_bytes", "<u4"),
        ("checksum", "<u4"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("label", "<u4"),
    ]
)


def index_name(shard: str) -> str:
    """Returns the name of the file beside a shard that holds its index."""
    return shard.replace(".tfrecord-", ".index-") + ".npy"


def write_index(
    file: IO[bytes],
    entries: Sequence[tuple[int, ...]],
    photo_ids: Sequence[str],
    boxes: Sequence[Sequence[float] | None] = (),
) -> None:
    """Writes the index of a shard: an array of `INDEX`, then the photo_ids as uint8, the bytes of a JSON list.

    Behind them stand the boxes, float32 [length, 4] with NaN for none, if any photo has one. All arrays are in NumPy's
    format, one behind the other: versions that know only the first ones still read these.

    Args:
      file: open for writing.
      entries: fields of `INDEX` of each record, in the order of the shard.
      photo_ids: path of each photo in its source, in the same order.
      boxes: left, top, right, bottom of the butterfly on each photo, from 0 to 1; None where it is not known.
    """
    np.save(file, np.array(entries, INDEX))
    np.save(file, np.frombuffer(json.dumps(photo_ids).encode(), np.uint8))
    if any(box is not None for box in boxes):
        np.save(file, np.array([[np.nan] * 4 if box is None else box for box in boxes], np.float32))


def read_index(
    content: bytes, length: int
) -> tuple[Shaped[np.ndarray, " {length}"], list[str], Float32[np.ndarray, "{length} 4"] | None]:
    """Returns the entries of a shard's index, `INDEX` [length], its photo_ids, and its boxes, float32 [length, 4].

    No photo_ids where an earlier version wrote the index; no boxes where no photo has one.

    Args:
      content: content of the file.
      length: number of records in the shard.

    Raises:
      ValueError: the index is damaged, or of a shard of another length.
    """
    if not content:
        raise ValueError("the index is empty")
    file = io.BytesIO(content)
    table: np.ndarray = np.load(file, allow_pickle=False)
    if table.dtype != INDEX or table.shape != (length,):
        raise ValueError(f"it is not an index of {length} photos")
    if file.tell() == len(content):
        return table, [], None
    photo_ids = json.loads(np.load(file, allow_pickle=False).tobytes())
    if not isinstance(photo_ids, list) or len(photo_ids) != length or not all(isinstance(i, str) for i in photo_ids):
        raise ValueError(f"it holds no photo_ids of {length} photos")
    if file.tell() == len(content):
        return table, photo_ids, None
    boxes: np.ndarray = np.load(file, allow_pickle=False)
    if boxes.dtype != np.float32 or boxes.shape != (length, 4):
        raise ValueError(f"it holds no boxes of {length} photos")
    return table, photo_ids, boxes
