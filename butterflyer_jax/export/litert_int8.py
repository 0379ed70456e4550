"""The LiteRT writer in int8: a quarter of the size, with ranges of activations chosen on training photos."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from butterflyer_jax.export import litert
from butterflyer_jax.export.network import Network

NAME = "model_int8.tflite"
RUNTIME, NEEDS, READ = litert.RUNTIME, litert.NEEDS, litert.READ
READ_NEEDS, READ_NOTE = litert.READ_NEEDS, litert.READ_NOTE
# Means and spreads of maps have another range in each channel, which 8 bits for all of them do not resolve.
HAS_TYPICALITY = False
# Largest difference of a probability from that in float32.
TOLERANCE = 0.1


def write(network: Network, path: Path, calibration: UInt8[np.ndarray, "count side side 3"]) -> None:
    """Writes the network, as `litert.write`; weights and activations are int8, and the input and the outputs are not.

    Args:
      network: network that is written.
      path: file to write.
      calibration: uint8 [count, image_size, image_size, 3], training photos.

    Raises:
      UserError: the converter refuses the network; the message is the converter's.
    """
    path.write_bytes(litert.convert(dataclasses.replace(network, typicality=None), calibration))
