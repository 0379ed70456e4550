"""Writes small VGGs as Keras saves them, and what Keras computes with them; run by test_weights_keras.py.

    python tests/models/make_keras_files.py FOLDER

VGG16 and VGG19 are those of keras.applications, with 1/32 of their width and random weights.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import h5py
import keras
import numpy as np
from keras.src.applications import vgg16, vgg19

WIDTH = 32
LAYERS = keras.layers


def narrowed(application: types.ModuleType) -> None:
    """Makes keras.applications build its own layers, narrower."""
    application.layers = types.SimpleNamespace(
        **{
            **vars(LAYERS),
            "Conv2D": lambda filters, *args, **options: LAYERS.Conv2D(filters // WIDTH, *args, **options),
            "Dense": lambda units, **options: LAYERS.Dense(units // WIDTH if units > 1000 else units, **options),
        }
    )


def randomise(model: keras.Model, seed: int) -> keras.Model:
    """Gives a model random weights, biases and statistics."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = variable.shape
        if len(shape) > 1:
            variable.assign(rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape))
        elif str(variable.dtype).startswith("float"):
            positive = variable.name in ("gamma", "moving_variance")
            variable.assign(rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0.1, 0.3, shape))
    return model


def normed(epsilon: float) -> keras.Model:
    """A VGG11 with batch normalisation and dropout, as someone builds it: Keras's own layer names, RGB of 0 to 1."""
    x = inputs = LAYERS.Input((64, 64, 3))
    for depth, width in zip((1, 1, 2, 2, 2), (64, 128, 256, 512, 512), strict=True):
        for _ in range(depth):
            x = LAYERS.Conv2D(width // WIDTH, 3, padding="same")(x)
            x = LAYERS.BatchNormalization(epsilon=epsilon)(x)
            x = LAYERS.ReLU()(x)
        x = LAYERS.MaxPooling2D()(x)
    x = LAYERS.Flatten()(x)
    for _ in range(2):
        x = LAYERS.Dropout(0.5)(LAYERS.Dense(4096 // WIDTH, "relu")(x))
    return keras.Model(inputs, LAYERS.Dense(5)(x))


def save_as_keras_1(model: keras.Model, path: Path) -> None:
    """Writes the layout and the names of the files that keras.applications downloads."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            names = [f"{layer.name}_{kind}_1:0".encode() for kind in ("W", "b")][: len(layer.weights)]
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = names
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name.decode()] = value


def main(folder: Path) -> None:
    """Writes the files; recorded.npz holds, by the name of a file, images and what the model makes of them."""
    recorded = {}
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)

    def record(name: str, outputs: object) -> None:
        recorded[name] = np.asarray(outputs)

    caffe = vgg16.preprocess_input(images.astype(np.float32))
    for application in (vgg16, vgg19):
        narrowed(application)
    options = {"weights": None, "classes": 5, "classifier_activation": None, "input_shape": (64, 64, 3)}

    whole = randomise(vgg16.VGG16(**options), 1)
    whole.save(folder / "whole.h5")
    whole.save(folder / "whole.keras")
    whole.save_weights(folder / "whole.weights.h5")
    save_as_keras_1(whole, folder / "whole_keras1.h5")
    record("whole", whole(caffe))

    features = randomise(vgg19.VGG19(**options | {"include_top": False, "pooling": "avg"}), 2)
    features.save(folder / "features.h5")
    features.save_weights(folder / "features.weights.h5")
    record("features", features(caffe))

    # Fine-tuning as tutorials have it: the application within a model, and one dense layer behind it.
    base = vgg16.VGG16(**options | {"include_top": False})
    tuned = keras.Sequential([base, LAYERS.GlobalAveragePooling2D(), LAYERS.Dropout(0.2), LAYERS.Dense(7)])
    randomise(tuned, 3)
    tuned.save(folder / "tuned.h5")
    tuned.save(folder / "tuned.keras")
    record("tuned", tuned(caffe))

    # Trained for a step: the file holds an optimizer and seeds too.
    own = normed(epsilon=2e-3)
    own.compile("adam", "mse")
    own.train_on_batch(images / 255.0, np.zeros((2, 5)))
    randomise(own, 4)
    own.save(folder / "own.h5")
    own.save(folder / "own.keras")
    record("own", own(images / np.float32(255)))
    # These hold no config: the epsilon is taken to be Keras's default.
    default = normed(epsilon=1e-3)
    default.set_weights(own.get_weights())
    default.save_weights(folder / "default.weights.h5")
    record("default", default(images / np.float32(255)))
    np.savez(folder / "recorded.npz", images=images, **recorded)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
