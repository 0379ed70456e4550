"""Ingestion of a raw zip: labels, splits, duplicates, decoding, and writing of shards."""
