"""Validation images with their predictions, and the confusion matrix, for the trackers that take pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Integer

from butterflyer_jax.config import Config
from butterflyer_jax.distributed import compiler, sharding
from butterflyer_jax.models.variables import Batch, Variables
from butterflyer_jax.preprocessing import images
from butterflyer_jax.tracking import Pictures, Sample, Tracker

# Limit on the epochs after which a run shows images, spread evenly and with the last: it bounds time and uploads.
MAX_SHOWS = 20
PHOTOS = 16


class Gallery:
    """Interface between the training loop and the validation images; this one is for trackers that take no pictures."""

    def watch(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterable[Mapping[str, np.ndarray]]:
        """Returns the batches of an evaluation; a gallery keeps some of their images."""
        return batches

    def show(
        self, step: int, epoch: int, variables: Variables, confusion: Integer[jax.Array, "num_species num_species"]
    ) -> None:
        """Sends the evaluation of the state after `step` steps to the trackers, where it is due."""


NO_GALLERY = Gallery()


class ValGallery(Gallery):
    """Shows the same images of the first batch of val each time, so that epochs can be compared.

    All processes compute, as arrays sharded over many hosts require; each sends to its own trackers.
    """

    def __init__(
        self, apply_fn: Callable[..., Any], species: Sequence[str], tracker: Tracker, config: Config, mesh: Mesh
    ) -> None:
        self._species, self._tracker, self._config, self._mesh = species, tracker, config, mesh
        self._every = -(-config.num_epochs // MAX_SHOWS)
        self._chosen: dict[str, np.ndarray] = {}

        def look(variables: Variables, batch: Batch) -> dict[str, jax.Array]:
            logits = apply_fn(variables.collections(), images.eval_images(batch, config), train=False)
            return {
                "probabilities": jax.nn.softmax(logits),
                "pixels": (images.scaled_images(batch, config.data.image_size) * 255).round().astype("uint8"),
                "label": batch["label"],
                "mask": batch["mask"],
            }

        # Whole on every host, however parameters and batch are laid out.
        self._look = jax.jit(look, out_shardings=sharding.replicated(mesh), compiler_options=compiler.options())

    def watch(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[Mapping[str, np.ndarray]]:
        """Yields the batches, and keeps images of the first one."""
        self._chosen = {}
        for batch in batches:
            if not self._chosen:
                self._chosen = _choose(batch, self._mesh)
            yield batch

    def show(
        self, step: int, epoch: int, variables: Variables, confusion: Integer[jax.Array, "num_species num_species"]
    ) -> None:
        """Sends the confusion matrix and the images, in at most `MAX_SHOWS` epochs and the last."""
        if epoch % self._every and epoch != self._config.num_epochs:
            return
        seen = jax.device_get(self._look(variables, sharding.put_batch(self._chosen, self._mesh)))
        samples = [
            Sample(pixels, self._species[label], self._species[row.argmax()], float(row.max()))
            for pixels, label, row, counts in zip(
                seen["pixels"], seen["label"], seen["probabilities"], seen["mask"], strict=True
            )
            if counts
        ]
        self._tracker.show(Pictures(step, self._species, np.asarray(confusion), samples[:PHOTOS]))


def _choose(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, np.ndarray]:
    """Returns about `PHOTOS` images spread over a batch, a multiple of the local devices where possible."""
    devices = len(mesh.local_devices)
    size = len(batch["label"])
    wanted = min(size, -(-PHOTOS // devices) * devices)
    real, padding = np.flatnonzero(batch["mask"]), np.flatnonzero(batch["mask"] == 0)
    shown = real[np.linspace(0, len(real) - 1, min(wanted, len(real))).astype(int)]
    places = np.concatenate([shown, padding])[:wanted]
    return {name: np.array(array[places]) for name, array in batch.items()}


def open_gallery(
    apply_fn: Callable[..., Any], species: Sequence[str], tracker: Tracker, config: Config, mesh: Mesh
) -> Gallery:
    """Returns the gallery of a run; it does nothing if no tracker takes pictures."""
    return ValGallery(apply_fn, species, tracker, config, mesh) if config.tracking.takes_pictures else NO_GALLERY
