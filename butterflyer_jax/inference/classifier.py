"""The trained network behind predictor and application: pixels in, probabilities and heat maps out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Integer, Shaped, UInt8

from butterflyer_jax.data import species_map
from butterflyer_jax.metrics.calibration import Calibration, among_listed
from butterflyer_jax.metrics.ranks import Ranks

if TYPE_CHECKING:
    from butterflyer_jax.runs import LoadedModel


class Classifier(ABC):
    """A trained network, however it is kept: a run or an export.

    Attributes:
      name: name of the run or the file.
      species: names of the species, in the order of the probabilities.
      calibration: temperature of the probabilities, and reject threshold.
      threshold: probability of the first species below which an image is none of these.
      limit: typicality above which an image is none of the species; None of a network without a typicality.
      ranks: ranks above the species, with the thresholds of an answer; None where no taxonomy is known.
      listed: bool [species], species that can occur; None for all of them.
      short_side: length to which the short side of an image is scaled first, pixels.
      crop_fraction: side of the central square that the network sees, as a share of the short side.
      image_size: side of the network's input, pixels.
      max_pixels: size above which an image is refused, pixels.
    """

    name: str
    species: tuple[str, ...]
    calibration: Calibration
    threshold: float
    limit: float | None
    ranks: Ranks | None
    listed: Bool[np.ndarray, " num_species"] | None
    short_side: int
    crop_fraction: float
    image_size: int
    max_pixels: int

    @property
    def has_typicality(self) -> bool:
        """Whether images are refused by their typicality."""
        return self.limit is not None

    @abstractmethod
    def outputs(
        self, images: UInt8[np.ndarray, "batch side side 3"]
    ) -> tuple[Float32[np.ndarray, "batch num_species"], Float32[np.ndarray, " batch"] | None]:
        """Returns the calibrated probabilities of all species and the typicality of images.

        Args:
          images: uint8 [batch, image_size, image_size, 3].

        Returns:
          float32 [batch, species]; and float32 [batch], larger for less typical images, None without a limit.
        """

    def classify(
        self, images: UInt8[np.ndarray, "batch side side 3"], flip: bool = False
    ) -> tuple[Float32[np.ndarray, "batch num_species"], Bool[np.ndarray, " batch"]]:
        """Returns the probabilities of images, and which of them are none of the species.

        An image is none of them where its typicality is above the limit, which nearly all val photos are below; of a
        network without a typicality, where its highest probability is below the threshold. With a list of species the
        probabilities are those of listed species alone; see `calibration.among_listed`.

        Args:
          images: uint8 [batch, image_size, image_size, 3].
          flip: whether probabilities are means over each image and its mirror image; the typicality is the image's.

        Returns:
          float32 [batch, species], and bool [batch].
        """
        probabilities, typicality = self.outputs(images)
        if flip:
            probabilities = (probabilities + self.outputs(images[:, :, ::-1])[0]) / 2
        refused = probabilities.max(axis=1) < self.threshold if typicality is None else typicality > self.limit
        return among_listed(probabilities, refused, self.listed)

    def excess(self, images: UInt8[np.ndarray, "batch side side 3"]) -> Float64[np.ndarray, " batch"] | None:
        """Returns how far the typicality of images lies above the limit of refusal, smaller for more typical ones.

        Args:
          images: uint8 [batch, image_size, image_size, 3].

        Returns:
          float64 [batch]; None of a network without a typicality.
        """
        if self.limit is None:
            return None
        _, typicality = self.outputs(images)
        assert typicality is not None
        return typicality.astype(np.float64) - self.limit

    @abstractmethod
    def heat_maps(
        self, images: UInt8[np.ndarray, "batch side side 3"], labels: Integer[np.ndarray, " batch"]
    ) -> Float32[np.ndarray, "batch map_side map_side"] | None:
        """Returns heat maps of these labels, float32 [batch, side, side] from 0 to 1; None if there are none."""


class TrainedClassifier(Classifier):
    """The network of a run, whose name is the run's with the checkpoint's step.

    Attributes:
      config: config of the run.
    """

    def __init__(self, loaded: LoadedModel, calibration: Calibration, listed: np.ndarray | None = None) -> None:
        """Wraps the model of a run and the calibration of its probabilities; see `load`."""
        import jax
        import jax.numpy as jnp

        from butterflyer_jax.distributed.batch_parts import in_parts
        from butterflyer_jax.inference import gradcam
        from butterflyer_jax.metrics import typicality_layers
        from butterflyer_jax.models.features import apply_with_features
        from butterflyer_jax.preprocessing import images as images_lib

        model: Any = loaded.model
        variables, run = loaded.variables, loaded.run
        self.name = loaded.name
        self.species = run.species
        self.calibration = calibration
        self.ranks = loaded.ranks()
        self.threshold = calibration.threshold
        self.listed = listed
        self.config = run.config
        self.image_size = run.config.data.image_size
        self.short_side = run.config.build.image_size
        self.crop_fraction = run.config.data.eval_crop_fraction
        self.max_pixels = run.config.build.max_pixels
        self._variables = variables
        typicality = loaded.typicality()
        self.limit = None if typicality is None else float(typicality.limit)
        layers = None if typicality is None else typicality_layers.to_layers(typicality)

        def answer(variables: Any, images: jax.Array) -> tuple[jax.Array, jax.Array | None]:
            x, score = images_lib.normalise(images, run.config.model), None
            if layers is None:
                logits = model.apply(variables.collections(), x, train=False)
            else:
                logits, features = apply_with_features(model, variables, x, run.config.model.batch_norm)
                # Here, as the features are many; else a GPU computes float32 in 19 bits.
                with jax.default_matmul_precision("highest"):
                    score = typicality_layers.score(jnp, layers, features, logits)
            return jax.nn.softmax(logits / calibration.temperature), score

        self._answer = in_parts(answer, model.for_cpu)
        self._heat_maps = gradcam.make_heat_maps(model, run.config)

    @classmethod
    def load(
        cls,
        run_folder: str | os.PathLike[str],
        calibrated: bool = True,
        species_list: str | os.PathLike[str] | None = None,
    ) -> TrainedClassifier:
        """Returns the classifier of a run's best checkpoint.

        Args:
          run_folder: folder of a run made by `train`, local or gs://.
          calibrated: whether to calibrate the probabilities, rather than return the network's own.
          species_list: file with the species that can occur, see `data.species_map.read_list`; None for all of them.

        Raises:
          UserError: the folder holds no run, the run has no checkpoint yet, or the list names a species that the run
            does not know.
        """
        from butterflyer_jax import runs
        from butterflyer_jax.distributed import memory

        # Before JAX starts its threads.
        memory.share_heap()
        run = runs.read(run_folder)
        listed = None if species_list is None else species_map.read_list(species_list, run.species)
        loaded = runs.load_model(run)
        if calibrated:
            loaded.report_missing()
        return cls(loaded, loaded.calibration() if calibrated else Calibration(step=loaded.step), listed)

    def probabilities(self, images: UInt8[np.ndarray, "batch side side 3"]) -> Float32[np.ndarray, "batch num_species"]:
        """Returns float32 [batch, species] of uint8 [batch, image_size, image_size, 3]."""
        return self.classify(images)[0]

    def outputs(
        self, images: UInt8[np.ndarray, "batch side side 3"]
    ) -> tuple[Float32[np.ndarray, "batch num_species"], Float32[np.ndarray, " batch"] | None]:
        """Returns probabilities and typicality; see `Classifier.outputs`."""
        probabilities, score = self._answer(self._variables, padded(images))
        return probabilities[: len(images)], None if score is None else score[: len(images)]

    def heat_maps(
        self, images: UInt8[np.ndarray, "batch side side 3"], labels: Integer[np.ndarray, " batch"]
    ) -> Float32[np.ndarray, "batch map_side map_side"]:
        """Returns the Grad-CAM heat maps of these labels, float32 [batch, side, side] from 0 to 1."""
        return self._heat_maps(self._variables, padded(images), padded(labels))[: len(images)]


def padded(array: Shaped[np.ndarray, "batch ..."]) -> Shaped[np.ndarray, "_ ..."]:
    """Returns a batch padded by rows of zeros to a power of two, so that few shapes are compiled."""
    more = (1 << (len(array) - 1).bit_length()) - len(array)
    return np.pad(array, [(0, more), *[(0, 0)] * (array.ndim - 1)])
