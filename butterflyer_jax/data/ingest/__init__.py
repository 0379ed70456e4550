"""Ingestion of a raw zip into shards: labels, splits, duplicates, decoding, writing."""
