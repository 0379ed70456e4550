"""From a raw zip to batches; the only folder that imports TensorFlow, and that only where records are touched."""
