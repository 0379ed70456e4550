"""From a raw zip to shards: labels, splits, duplicates, decoding, writing."""
