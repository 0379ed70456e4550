"""Files beside the shards, which the builder writes and training reads."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import IO

import numpy as np
from jaxtyping import Shaped

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


def write_index(file: IO[bytes], entries: Sequence[tuple[int, ...]], photo_ids: Sequence[str]) -> None:
    """Writes the index of a shard: an array of `INDEX`, then the photo_ids as uint8, the bytes of a JSON list.

    Both arrays are in NumPy's format, one behind the other: versions that know only the first still read it.

    Args:
      file: open for writing.
      entries: fields of `INDEX` of each record, in the order of the shard.
      photo_ids: path of each photo in its source, in the same order.
    """
    np.save(file, np.array(entries, INDEX))
    np.save(file, np.frombuffer(json.dumps(photo_ids).encode(), np.uint8))


def read_index(content: bytes, length: int) -> tuple[Shaped[np.ndarray, " {length}"], list[str]]:
    """Returns the entries of a shard's index, `INDEX` [length], and its photo_ids.

    No photo_ids where an earlier version wrote the index.

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
        raise ValueError(f"it is no index of {length} photos")
    if file.tell() == len(content):
        return table, []
    photo_ids = json.loads(np.load(file, allow_pickle=False).tobytes())
    if not isinstance(photo_ids, list) or len(photo_ids) != length or not all(isinstance(i, str) for i in photo_ids):
        raise ValueError(f"it holds no photo_ids of {length} photos")
    return table, photo_ids
