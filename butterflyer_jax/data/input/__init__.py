"""The input pipeline from shards to batches: order, crops, decoding, caches."""
