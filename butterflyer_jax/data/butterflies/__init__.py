"""The TFDS data set of butterfly photos."""
