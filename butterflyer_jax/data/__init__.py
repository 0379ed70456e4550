"""Data sets, from a raw zip to batches; TensorFlow is imported only where records are read or written."""
