"""The LiteRT writer (formerly TensorFlow Lite): one `.tflite` file for telephones and small boards, in float32."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from butterflyer_jax.errors import UserError
from butterflyer_jax.export.network import Network
from butterflyer_jax.storage.errors import words_of

NAME = "model.tflite"
RUNTIME = "ai_edge_litert"
NEEDS = ("tensorflow", "ai_edge_litert")
READ_NEEDS, READ_NOTE = ("ai-edge-litert",), ""
HAS_TYPICALITY = True
READ = """
import numpy as np
from ai_edge_litert.interpreter import Interpreter

run = Interpreter(path).get_signature_runner()

def answer(images):
    # A batch is of any size from 1.
    some = images if len(images) else np.zeros((1, *images.shape[1:]), np.uint8)
    return {output: array[: len(images)] for output, array in run(image=some).items()}

def probabilities(images):
    return answer(images)["probabilities"]
"""


def write(network: Network, path: Path) -> None:
    """Writes the network, for any batch: image, uint8 [batch, image_size, image_size, 3], to the outputs by name.

    Raises:
      UserError: the converter refuses the network; the message is the converter's.
    """
    path.write_bytes(convert(network))


def convert(network: Network, calibration: UInt8[np.ndarray, "count side side 3"] | None = None) -> bytes:
    """Returns the content of the `.tflite` file.

    Args:
      network: network that is written.
      calibration: uint8 [count, image_size, image_size, 3], images by which the ranges of activations are chosen, for
        arithmetic in int8; None for float32.

    Raises:
      UserError: the converter refuses the network; the message is the converter's.
    """
    from butterflyer_jax import console

    with console.without_stderr(), tempfile.TemporaryDirectory() as folder:
        import tensorflow as tf

        # The memory of GPUs is JAX's.
        tf.config.set_visible_devices([], "GPU")
        _save(tf, network, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ({"image": image[None]} for image in calibration)
        try:
            content: bytes = converter.convert()
        except Exception as error:
            raise UserError(f"the LiteRT converter refuses the network: {words_of(error)}") from error
    return content


def _save(tf: Any, network: Network, folder: str) -> None:
    from butterflyer_jax.export.savedmodel import compute

    side = network.image_size
    convolutions = {name: network.convolution(name) for block in network.blocks for name in block}
    dense = {name: (network.layers[name]["kernel"], network.layers[name]["bias"]) for name in network.dense}
    module = tf.Module(network.model.variant)

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8, "image")])
    def serving_default(image: Any) -> dict[str, Any]:
        return compute(tf, network, image, convolutions, dense)

    tf.saved_model.save(module, folder, signatures={"serving_default": serving_default})
