"""The Keras writer: one `.keras` file that `keras.models.load_model` reads under any backend."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from butterflyer_jax.config import DataConfig, ModelConfig
from butterflyer_jax.errors import UserError
from butterflyer_jax.export.network import EPSILON, PROBABILITIES, TYPICALITY, Network, from_arrays, to_arrays
from butterflyer_jax.export.runtime_process import UNUSED
from butterflyer_jax.metrics.typicality import CLIP, SMALLEST_DOUBT
from butterflyer_jax.metrics.typicality_layers import SERIES_BELOW, SMALLEST_DISTANCE, TypicalityLayers

NAME = "model.keras"
RUNTIME = "keras"
NEEDS = ("keras", "tensorflow")
READ_NEEDS = ("keras", "tensorflow")
READ_NOTE = "; jax or torch in place of tensorflow, with the environment variable KERAS_BACKEND set to its name"
HAS_TYPICALITY = True
READ = """
import keras
import numpy as np

model = keras.models.load_model(path)

def answer(images):
    # TensorFlow's convolutions take no empty batch.
    some = images if len(images) else np.zeros((1, *images.shape[1:]), np.uint8)
    # Without the data pipeline of `model.predict`, which takes 20 times as long for a photo.
    found = model.predict_on_batch(some)
    found = found if isinstance(found, dict) else {"probabilities": found}
    return {output: array[: len(images)] for output, array in found.items()}

def probabilities(images):
    return answer(images)["probabilities"]
"""


class WriterProcess:
    """A process that imports Keras when it starts, and then waits for the network that it is to write.

    In a process of its own, as Keras's backend is fixed once per process, and is the caller's choice.
    """

    def __init__(self) -> None:
        """Starts the process."""
        # The lightest backend: nothing is computed here.
        environment = {**os.environ, "KERAS_BACKEND": "numpy", "JAX_PLATFORMS": "cpu"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "butterflyer_jax.export.keras"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def write(self, network: Network, path: Path) -> None:
        """Writes the network, once: a process writes one.

        Raises:
          UserError: Keras could not write it; the message is that of Keras.
        """
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            about, arrays = pack(network, Path(folder))
            _, errors = self._process.communicate(json.dumps([*map(str, (about, arrays, path))]) + "\n")
        if self._process.returncode:
            code = self._process.returncode
            reason = errors.strip() or f"its process ended without a message (exit code {code})"
            raise UserError(f"Keras could not write the model: {reason.splitlines()[-1]}")

    def close(self) -> None:
        """Ends the process."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


def pack(network: Network, folder: Path) -> tuple[Path, Path]:
    """Writes the files that `main` takes, network.json and network.npz, and returns their paths."""
    layers = dataclasses.asdict(network.typicality) if network.typicality else {}
    constants = {name: value for name, value in layers.items() if isinstance(value, np.ndarray)}
    facts = dataclasses.asdict(dataclasses.replace(network, layers={}, typicality=None))
    facts["typicality"] = {name: value for name, value in layers.items() if name not in constants}
    about, arrays = folder / "network.json", folder / "network.npz"
    about.write_text(json.dumps(facts))
    named = {f"{TYPICALITY}/{name}": array for name, array in constants.items()}
    np.savez(arrays, **to_arrays(network), **named)  # type: ignore[arg-type]
    return about, arrays


def build_model(network: Network) -> Any:
    """Returns the `keras.Model` of uint8 [batch, image_size, image_size, 3], with layers named as ours.

    Its output is the probabilities; for a network with a typicality, a dict of both.
    """
    import keras

    layers = keras.layers
    side = network.image_size
    scale, offset = network.scale_and_offset()
    images = keras.Input((side, side, 3), dtype="uint8", name="image")
    x = layers.Rescaling(scale.tolist(), offset.tolist(), name="normalise")(images)
    features = []
    for number, block in enumerate(network.blocks, 1):
        for name in block:
            kernel = network.layers[name]["kernel"]
            x = layers.Conv2D(kernel.shape[-1], 3, padding="same", use_bias="bias" in network.layers[name], name=name)(
                x
            )
            norm = name.replace("conv", "bn")
            if norm in network.layers:
                x = layers.BatchNormalization(epsilon=EPSILON, momentum=network.model.batch_norm_momentum, name=norm)(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
            if network.typicality:
                features += [layers.GlobalAveragePooling2D(name=f"{name}_mean")(x), keras.ops.std(x, (1, 2))]
        x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
    if network.model.head == "gap":
        x = layers.GlobalAveragePooling2D(name="mean")(x)
    else:
        x = layers.Flatten(name="flatten")(x)
    for name in network.dense:
        if name == "logits":
            x = layers.Dropout(network.model.dropout, name="dropout")(x) if network.model.head == "gap" else x
            x = layers.Dense(len(network.species), name=name)(x)
        else:
            x = layers.Dense(network.layers[name]["kernel"].shape[1], activation="relu", name=name)(x)
            x = layers.Dropout(network.model.dropout, name=f"{name}_dropout")(x)
    logits = x
    x = layers.Rescaling(1 / network.temperature, name="temperature")(x)
    x = layers.Softmax(name="probabilities")(x)
    outputs: Any = x
    constants: dict[str, list[np.ndarray]] = {}
    if network.typicality:
        score, constants = _score(keras, network.typicality, features, logits)
        outputs = {PROBABILITIES: x, TYPICALITY: score}
    model = keras.Model(images, outputs, name=network.model.variant)
    for name, arrays in network.layers.items():
        # Keras's own order.
        order = [key for key in ("kernel", "scale", "bias", "mean", "var") if key in arrays]
        model.get_layer(name).set_weights([arrays[key] for key in order])
    for name, weights in constants.items():
        layer = model.get_layer(name)
        layer.set_weights(weights)
        layer.trainable = False
    return model


def _score(
    keras: Any, layers: TypicalityLayers, features: list[Any], logits: Any
) -> tuple[Any, dict[str, list[np.ndarray]]]:
    """Returns the score, and the weights of its layers by name; see `typicality_layers.score`."""
    ops = keras.ops
    constants: dict[str, list[np.ndarray]] = {}

    def dense(name: str, x: Any, *weights: np.ndarray) -> Any:
        constants[f"typicality_{name}"] = list(weights)
        layer = keras.layers.Dense(weights[0].shape[1], use_bias=len(weights) > 1, name=f"typicality_{name}")
        return layer(x)

    x = keras.layers.Concatenate(name="features")(features)
    x = keras.layers.Rescaling(layers.scale.tolist(), layers.offset.tolist(), name="typicality_scale")(x)
    along = dense("basis", x, layers.basis)
    square = layers.rest * ops.sum(x * x, -1) + dense("weights", along * along, layers.weights[:, None])[:, 0]
    distance = square + ops.min(dense("classes", x, layers.classes, layers.class_offsets), -1)
    reference = square + dense("reference", x, layers.reference, layers.reference_offset)[:, 0]
    near, far = (ops.log(ops.maximum(one, SMALLEST_DISTANCE)) for one in (distance, reference))
    logit = dense("head", ops.clip(x, -CLIP, CLIP), layers.head, layers.head_offset)[:, 0]
    highest = ops.max(logits, -1, keepdims=True)
    powers, ones = ops.exp(logits - highest), ops.ones_like(logits)
    others = ops.sum(ops.where(logits < highest, powers, 0 * ones), -1)
    rest = others + ops.sum(ops.where(logits < highest, 0 * ones, ones), -1) - 1
    series = rest * (1 - rest * (0.5 - rest / 3))
    surprise = ops.where(rest < SERIES_BELOW, series, ops.log(1 + rest))
    doubt = ops.log(ops.maximum(surprise, SMALLEST_DOUBT))
    logit = ops.maximum(logit, layers.floor)
    sums = (a * near + b * far + c * logit + d * doubt + e for a, b, c, d, e in layers.sums)
    return functools.reduce(ops.maximum, sums), constants


def main(about: str, arrays: str, target: str) -> None:
    """Writes a `.keras` file from the files of a network that `pack` made."""
    facts = json.loads(Path(about).read_text())
    with np.load(arrays) as stored:
        layers = from_arrays(stored)
    constants = layers.pop(TYPICALITY, None)
    network = Network(
        tuple(facts["species"]),
        ModelConfig(**facts["model"]),
        DataConfig(**facts["data"]),
        facts["short_side"],
        facts["temperature"],
        layers,
        None if constants is None else TypicalityLayers(**facts["typicality"] | constants),
    )
    build_model(network).save(target)


if __name__ == "__main__":
    # Where Keras finds TensorFlow, it imports it to save a model, whatever the backend: 2 of 3 s of processor time.
    sys.modules.update(dict.fromkeys([*UNUSED, "tensorflow"]))  # type: ignore[arg-type]
    # Now, while the caller does other work.
    import keras  # noqa: F401

    if line := sys.stdin.readline():
        main(*json.loads(line))
