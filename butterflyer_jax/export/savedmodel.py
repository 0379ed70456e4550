"""The SavedModel writer: plain TensorFlow operations with signatures for pixels and for bytes of image files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from butterflyer_jax.export.network import PROBABILITIES, TYPICALITY, Network
from butterflyer_jax.metrics import typicality_layers

NAME = "savedmodel"
Layers: TypeAlias = Mapping[str, tuple[Any, Any]]
RUNTIME = "tensorflow"
NEEDS = ("tensorflow",)
READ_NEEDS, READ_NOTE = ("tensorflow",), ""
HAS_TYPICALITY = True
READ = """
import tensorflow as tf

loaded = tf.saved_model.load(path)
pixels = loaded.signatures["serving_default"]
encoded = loaded.signatures["serving_bytes"]

def answer(images):
    return {name: found.numpy() for name, found in pixels(image=tf.constant(images)).items()}

def probabilities(images):
    return answer(images)["probabilities"]

def probabilities_of_bytes(jpegs):
    return encoded(image_bytes=tf.constant(jpegs))["probabilities"].numpy()
"""


def write(network: Network, path: Path) -> None:
    """Writes a folder with two signatures, each for any batch.

    `serving_default` takes image, uint8 [batch, image_size, image_size, 3]; `serving_bytes` takes image_bytes, string
    [batch], JPEG, PNG, BMP or GIF, upright as stored (EXIF is not read). Both return probabilities, float32, and
    species, string, each [batch, species], and, where the network has one, typicality, float32 [batch]: TensorFlow
    Serving wants the batch first in every output.
    """
    from butterflyer_jax import console

    with console.without_stderr():
        import tensorflow as tf

        # The memory of GPUs is JAX's.
        tf.config.set_visible_devices([], "GPU")
        _save(tf, network, path)


def _save(tf: Any, network: Network, path: Path) -> None:
    module = tf.Module(network.model.variant)
    convolutions = {
        name: tuple(tf.Variable(array, trainable=False) for array in network.convolution(name))
        for block in network.blocks
        for name in block
    }
    dense = {
        name: tuple(tf.Variable(network.layers[name][key], trainable=False) for key in ("kernel", "bias"))
        for name in network.dense
    }
    # Found by the saver only as attributes.
    module.weights = [convolutions, dense]
    species = tf.constant(network.species)
    side = network.image_size

    def answer(images: Any) -> dict[str, Any]:
        count = tf.shape(images)[0]
        # TensorFlow's convolutions take no empty batch.
        some = tf.pad(images, [(0, tf.cast(count == 0, tf.int32)), (0, 0), (0, 0), (0, 0)])
        outputs = {name: array[:count] for name, array in compute(tf, network, some, convolutions, dense).items()}
        return outputs | {"species": tf.tile(species[None], (count, 1))}

    def to_pixels(data: Any) -> Any:
        image = tf.cast(tf.io.decode_image(data, channels=3, expand_animations=False), tf.float32)
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        target = tf.maximum(tf.cast(tf.round(size * (network.short_side / tf.reduce_min(size))), tf.int32), 1)
        image = _resize(tf, image, target, "lanczos3")
        square = tf.cast(tf.round(network.short_side * network.data.eval_crop_fraction), tf.int32)
        corner = (target - square) // 2
        image = image[corner[0] : corner[0] + square, corner[1] : corner[1] + square]
        return tf.cast(_resize(tf, image, (side, side), "bilinear"), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8, "image")])
    def serving_default(image: Any) -> dict[str, Any]:
        return answer(image)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
    def serving_bytes(image_bytes: Any) -> dict[str, Any]:
        pixels = tf.map_fn(to_pixels, image_bytes, fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8))
        return answer(pixels)

    signatures = {"serving_default": serving_default, "serving_bytes": serving_bytes}
    tf.saved_model.save(module, str(path), signatures=signatures)


def compute(tf: Any, network: Network, images: Any, convolutions: Layers, dense: Layers) -> dict[str, Any]:
    """Returns the outputs by name, as TensorFlow's operations.

    Args:
      tf: TensorFlow.
      network: network that is written.
      images: uint8 [batch, image_size, image_size, 3], at least one.
      convolutions, dense: kernel and bias of each layer, with batch normalisation folded in.
    """
    scale, offset = network.scale_and_offset()
    x, features = tf.cast(images, tf.float32) * scale + offset, []
    for block in network.blocks:
        for name in block:
            kernel, bias = convolutions[name]
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
            if network.typicality:
                features += [tf.reduce_mean(x, (1, 2)), tf.math.reduce_std(x, (1, 2))]
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    gap = network.model.head == "gap"
    x = tf.reduce_mean(x, (1, 2)) if gap else tf.reshape(x, (-1, dense[network.dense[0]][0].shape[0]))
    for name, (kernel, bias) in dense.items():
        x = tf.matmul(x, kernel) + bias
        x = x if name == "logits" else tf.nn.relu(x)
    outputs = {PROBABILITIES: tf.nn.softmax(x / network.temperature)}
    if network.typicality:
        score = typicality_layers.score(tf.experimental.numpy, network.typicality, tf.concat(features, -1), x)
        outputs[TYPICALITY] = tf.cast(score, tf.float32)
    return outputs


def _resize(tf: Any, image: Any, size: Any, method: str) -> Any:
    """Returns an image of integer levels from 0 to 255, scaled as the builder and evaluation scale it."""
    return tf.clip_by_value(tf.round(tf.image.resize(image, size, method, antialias=True)), 0, 255)
