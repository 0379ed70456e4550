"""Files beside the shards, which the builder writes and training reads."""

from __future__ import annotations

import numpy as np

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
    """Returns the name of the file beside a shard that holds its index, an array of `INDEX` in NumPy's format."""
    return shard.replace(".tfrecord-", ".index-") + ".npy"
