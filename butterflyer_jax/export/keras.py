"""The Keras writer: one `.keras` file that `keras.models.load_model` reads under any backend.

python -m butterflyer_jax.export.keras NETWORK.json NETWORK.npz TARGET.keras
"""

from __future__ import annotations

import dataclasses
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
from butterflyer_jax.export.network import EPSILON, Network, from_arrays, to_arrays

NAME = "model.keras"
RUNTIME = "keras"
NEEDS = ("keras", "tensorflow")
READ_NEEDS = ("keras", "tensorflow")
READ_NOTE = "; jax or torch in place of tensorflow, with the environment variable KERAS_BACKEND set to its name"
READ = """
import keras
import numpy as np

model = keras.models.load_model(path)

def probabilities(images):
    # TensorFlow's convolutions take no empty batch.
    some = images if len(images) else np.zeros((1, *images.shape[1:]), np.uint8)
    return model.predict(some, verbose=0)[: len(images)]
"""


def write(network: Network, path: Path) -> None:
    """Writes the network in a separate process: Keras's backend is fixed once per process, and is the caller's choice.

    Raises:
      UserError: Keras could not write it; the message is that of Keras.
    """
    facts = dataclasses.asdict(network) | {"layers": None}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        about, arrays = Path(folder, "network.json"), Path(folder, "network.npz")
        about.write_text(json.dumps(facts))
        np.savez(arrays, **to_arrays(network))  # type: ignore[arg-type]
        line = [sys.executable, "-m", "butterflyer_jax.export.keras", *map(str, (about, arrays, path))]
        # The lightest backend: nothing is computed here.
        environment = {**os.environ, "KERAS_BACKEND": "numpy", "JAX_PLATFORMS": "cpu"}
        result = subprocess.run(line, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise UserError(f"Keras could not write the model: {(result.stderr.strip() or 'it died').splitlines()[-1]}")


def build_model(network: Network) -> Any:
    """Returns the `keras.Model`, uint8 [batch, image_size, image_size, 3] to probabilities, layers named as ours."""
    import keras

    layers = keras.layers
    side = network.image_size
    scale, offset = network.scale_and_offset()
    images = keras.Input((side, side, 3), dtype="uint8", name="image")
    x = layers.Rescaling(scale.tolist(), offset.tolist(), name="normalise")(images)
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
    x = layers.Rescaling(1 / network.temperature, name="temperature")(x)
    x = layers.Softmax(name="probabilities")(x)
    model = keras.Model(images, x, name=network.model.variant)
    for name, arrays in network.layers.items():
        # Keras's own order.
        order = [key for key in ("kernel", "scale", "bias", "mean", "var") if key in arrays]
        model.get_layer(name).set_weights([arrays[key] for key in order])
    return model


def main(about: str, arrays: str, target: str) -> None:
    """Writes a `.keras` file from the files of a network that `write` made."""
    facts = json.loads(Path(about).read_text())
    with np.load(arrays) as stored:
        network = Network(
            tuple(facts["species"]),
            ModelConfig(**facts["model"]),
            DataConfig(**facts["data"]),
            facts["short_side"],
            facts["temperature"],
            from_arrays(stored),
        )
    build_model(network).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
