"""The TFDS data set of butterfly photographs."""
