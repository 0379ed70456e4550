"""A network as its run keeps it."""

from __future__ import annotations

import os
from typing import Any

import jax
import numpy as np

from butterflyer_jax import augment, gradcam, runs


class RunClassifier:
    """Answers by a run's best checkpoint; see `identify.Classifier`."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Opens a run.

        Raises:
          UserError: no run there, or no checkpoint yet.
        """
        run = runs.read(folder)
        opened, self._variables, step, _ = runs.load_model(run)
        model: Any = opened
        calibration = runs.read_calibration(run, step)
        config = run.config
        self.name = f"{run.folder.name}, step {step}"
        self.species = run.species
        self.threshold = calibration.threshold
        self.short_side = config.build.image_size
        self.crop_fraction = config.data.eval_crop_fraction
        self.image_size = config.data.image_size
        self._heat_maps = gradcam.make_heat_maps(model, config)

        @jax.jit
        def probabilities(variables: Any, images: jax.Array) -> jax.Array:
            inputs = augment.normalise(images, config.model)
            logits = model.apply(variables.collections(), inputs, train=False)
            return jax.nn.softmax(logits / calibration.temperature)

        self._probabilities = probabilities

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns float32 [batch, species] of uint8 [batch, image_size, image_size, 3]."""
        return np.asarray(self._probabilities(self._variables, images))

    def heat_maps(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns float32 [batch, side, side] from 0 to 1: Grad-CAM of these labels."""
        return self._heat_maps(self._variables, images, labels)
