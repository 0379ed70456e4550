"""The public predictor of a trained run: answers and heat maps for images."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard, TypeVar, cast, overload

import numpy as np
from PIL import Image

from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.inference import inputs as inputs_lib
from butterflyer_jax.inference.classifier import Classifier, TrainedClassifier
from butterflyer_jax.inference.ranking import TOP, describe, rank
from butterflyer_jax.report import drawing

T = TypeVar("T")
Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | inputs_lib.Picture

MAX_BATCH = 32


@dataclass(frozen=True)
class Look:
    """An answer, and where the network looked for it.

    Attributes:
      answer: answer as `Predictor.predict` returns it.
      photo: uint8 [side, side, 3], the part of the image that the network sees, in the size that a data set
        keeps; None for an image that cannot be read.
      heat_map: float32 [map_side, map_side] from 0 to 1, how much each place supports the answer's species (Grad-CAM);
        None for an image that cannot be read.
    """

    answer: dict[str, Any]
    photo: np.ndarray | None = None
    heat_map: np.ndarray | None = None

    def picture(self) -> np.ndarray:
        """Returns the image with the heat map over it, uint8 [side, side, 3].

        Raises:
          ValueError: the image could not be read.
        """
        if self.photo is None or self.heat_map is None:
            raise ValueError(f"no picture of an image that cannot be read: {self.answer['error']}")
        return drawing.with_heat(self.photo, self.heat_map)


class Predictor:
    """A trained classifier; `Predictor.load(run).predict("photo.jpg")`.

    Attributes:
      classifier: network of a run or an export.
      species: names of the species, in the order of the probabilities.
      calibration: temperature of the probabilities, and reject threshold.
    """

    def __init__(self, classifier: Classifier) -> None:
        """Wraps a network; see `load`."""
        self.classifier = classifier
        self.species = classifier.species
        self.calibration = classifier.calibration

    @classmethod
    def load(cls, run_folder: str | os.PathLike[str], species_list: str | os.PathLike[str] | None = None) -> Predictor:
        """Returns the predictor of a run's best checkpoint.

        Args:
          run_folder: folder of a run made by `train`, local or gs://.
          species_list: file with the species that can occur, one per line; None for all of the run's.

        Raises:
          UserError: the folder holds no run, the run has no checkpoint yet, or the list names a species that the run
            does not know.
        """
        return cls(TrainedClassifier.load(run_folder, species_list=species_list))

    @overload
    def predict(self, images: Source, top: int = TOP, flip: bool = False) -> dict[str, Any]: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, images: Iterable[Source], top: int = TOP, flip: bool = False) -> list[dict[str, Any]]: ...

    def predict(
        self, images: Source | Iterable[Source], top: int = TOP, flip: bool = False
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Names the species on one image or on many.

        Args:
          images: one image or several: paths (local or gs://), URLs, bytes of picture files, PIL images, or uint8
            arrays [height, width, 3].
          top: number of species that an answer ranks.
          flip: whether to average over the image and its mirror image.

        Returns:
          One answer for one image, a list in order for several. An answer is a dict of species, probability,
          none_of_these (see `TrainedClassifier.classify`), top<n> (species and probability) and probabilities (by
          species); with ranks also answer (see `ranking.describe`). Of an image that cannot be read, error alone.
        """
        if _is_one(images):
            [answer] = self.stream([images], top, flip)
            return answer
        return list(self.stream(cast("Iterable[Source]", images), top, flip))

    def stream(self, images: Iterable[Source], top: int = TOP, flip: bool = False) -> Iterator[dict[str, Any]]:
        """Yields what `predict` returns, batch by batch.

        Args:
          images, top, flip: the same as in `predict`.
        """
        for inputs in _in_batches(self._load, images):
            yield from self._answer(inputs, top, flip)

    def look(self, images: Iterable[Source], top: int = TOP, flip: bool = False) -> Iterator[Look]:
        """Yields answers with heat maps of their first species; each image is read once for both.

        Args:
          images, top, flip: the same as in `predict`; the heat map is always that of the image without its mirror.
        """
        for opened in _in_batches(self._open, images):
            inputs = [x if isinstance(x, str) else self._see(x) for x in opened]
            answers = list(self._answer(inputs, top, flip))
            maps = self._look(inputs, answers)
            for image, answer, heat_map in zip(opened, answers, maps, strict=True):
                yield Look(answer) if isinstance(image, str) else Look(answer, self._see_large(image), heat_map)

    def heat_maps(self, images: Iterable[Source]) -> list[np.ndarray | None]:
        """Returns the Grad-CAM heat map of the first species on each image, float32 [side, side] from 0 to 1, in order.

        Args:
          images: several images, each as in `predict`.

        Returns:
          The maps of the central square that the network sees; None for an image that cannot be read.
        """
        return [look.heat_map for look in self.look(images)]

    def _open(self, source: Source) -> Image.Image | str:
        """Returns an upright image of the size that the builder keeps, or the reason why it cannot be read."""
        try:
            return _to_image(source, self.classifier.short_side, self.classifier.max_pixels)
        except OSError as error:
            return error.strerror or str(error)
        except (photo.PhotoError, UserError) as error:
            return str(error)

    def _see(self, image: Image.Image) -> np.ndarray:
        """Returns the network's input, uint8 [image_size, image_size, 3]."""
        return photo.central_crop(image, self.classifier.crop_fraction, self.classifier.image_size)

    def _see_large(self, image: Image.Image) -> np.ndarray:
        """Returns the part that the network sees in its original size."""
        fraction = self.classifier.crop_fraction
        return photo.central_crop(image, fraction, max(1, round(min(image.size) * fraction)))

    def _load(self, source: Source) -> np.ndarray | str:
        image = self._open(source)
        return image if isinstance(image, str) else self._see(image)

    def _answer(self, inputs: Sequence[np.ndarray | str], top: int, flip: bool) -> Iterator[dict[str, Any]]:
        pixels = [x for x in inputs if not isinstance(x, str)]
        rows: Iterator[tuple[np.ndarray, np.ndarray]] = iter(())
        if pixels:
            probabilities, refused = self.classifier.classify(np.stack(pixels))
            if flip:
                mirrored, _ = self.classifier.classify(np.stack(pixels)[:, :, ::-1])
                probabilities = (probabilities + mirrored) / 2
            rows = zip(probabilities, refused, strict=True)
        for x in inputs:
            yield {"error": x} if isinstance(x, str) else self._describe(*next(rows), top)

    def _look(
        self, inputs: Sequence[np.ndarray | str], answers: Sequence[dict[str, Any]]
    ) -> Iterator[np.ndarray | None]:
        pixels = [x for x in inputs if not isinstance(x, str)]
        labels = [self.species.index(answer["species"]) for answer in answers if "species" in answer]
        maps: Iterator[np.ndarray] = iter(())
        if pixels:
            found = self.classifier.heat_maps(np.stack(pixels), np.array(labels))
            if found is None:
                raise UserError(f"{self.classifier.name} is an export, which has no heat maps: take the run")
            maps = iter(found)
        for x in inputs:
            yield None if isinstance(x, str) else next(maps)

    def _describe(self, probabilities: np.ndarray, refused: np.ndarray, top: int) -> dict[str, Any]:
        listed = self.classifier.listed
        answer = {**rank(probabilities, self.species, top, listed), "none_of_these": bool(refused)}
        if self.classifier.ranks is None:
            return answer
        [of_ranks] = self.classifier.ranks.answer(probabilities[None], np.array([refused]), listed)
        return answer | {"answer": describe(of_ranks, bool(refused))}


def _is_one(images: Source | Iterable[Source]) -> TypeGuard[Source]:
    """Returns whether this is an image rather than several; an array of four dimensions is several."""
    if isinstance(images, np.ndarray):
        return images.ndim != 4
    return isinstance(images, str | os.PathLike | bytes | Image.Image | inputs_lib.Picture)


def _in_batches(load: Callable[[Source], T], images: Iterable[Source]) -> Iterator[list[T]]:
    """Yields the results of `load` for the images, batch by batch, each batch in threads."""
    rest = iter(images)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
        while chunk := list(itertools.islice(rest, MAX_BATCH)):
            yield list(pool.map(load, chunk))


def _to_image(source: Source, image_size: int, max_pixels: int) -> Image.Image:
    """Returns an upright RGB image, scaled as the builder scales it."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3:
            raise photo.PhotoError(f"an array must be uint8 [height, width, 3], not {source.dtype} {source.shape}")
        source = Image.fromarray(source)
    if isinstance(source, Image.Image):
        return photo.resize_short_side(photo.upright_rgb(source), image_size, max_pixels)
    if not isinstance(source, bytes | inputs_lib.Picture):
        source = inputs_lib.Picture(os.fspath(source))
    data = source if isinstance(source, bytes) else source.read()
    return photo.load(data, image_size, max_pixels)[0]
