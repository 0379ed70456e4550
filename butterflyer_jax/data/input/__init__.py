"""From shards to batches: order, crops, decoding, caches."""
