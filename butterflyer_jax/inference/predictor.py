"""The public predictor of a trained run: answers and heat maps for images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast, overload

import numpy as np
from jaxtyping import Float32, UInt8

from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.inference import search as search_lib
from butterflyer_jax.inference import views as views_lib
from butterflyer_jax.inference.classifier import Classifier, TrainedClassifier
from butterflyer_jax.inference.ranking import TOP, describe, rank
from butterflyer_jax.inference.views import Source, View
from butterflyer_jax.report import drawing

MAX_BATCH = 32
# Images that are searched together: each has 60 parts and more.
SEARCH_BATCH = 4


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
    photo: UInt8[np.ndarray, "side side 3"] | None = None
    heat_map: Float32[np.ndarray, "map_side map_side"] | None = None

    def picture(self) -> UInt8[np.ndarray, "side side 3"]:
        """Returns the image with the heat map over it, uint8 [side, side, 3].

        Raises:
          ValueError: the image could not be read.
        """
        if self.photo is None or self.heat_map is None:
            raise ValueError(f"no heat map of an image that cannot be read: {self.answer['error']}")
        return drawing.with_heat(self.photo, self.heat_map)


class Predictor:
    """A trained classifier; `Predictor.load(run).predict("photo.jpg")`.

    Attributes:
      classifier: network of a run or an export.
      species: names of the species, in the order of the probabilities.
      calibration: temperature of the probabilities, and reject threshold.
    """

    def __init__(self, classifier: Classifier) -> None:
        """Wraps a network; see `load`.

        Raises:
          UserError: this is the folder of a run, which `load` takes.
        """
        if isinstance(classifier, str | os.PathLike):
            raise UserError(f"a folder is loaded: Predictor.load({os.fspath(classifier)!r})")
        self.classifier = classifier
        self.species = classifier.species
        self.calibration = classifier.calibration

    def __repr__(self) -> str:
        return f"<Predictor of {self.classifier.name}, {len(self.species)} species>"

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
    def predict(  # type: ignore[overload-overlap]
        self, images: Source, top: int = TOP, flip: bool = False, search: bool = False
    ) -> dict[str, Any]: ...

    @overload
    def predict(
        self, images: Iterable[Source], top: int = TOP, flip: bool = False, search: bool = False
    ) -> list[dict[str, Any]]: ...

    def predict(
        self, images: Source | Iterable[Source], top: int = TOP, flip: bool = False, search: bool = False
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Names the species on one image or on many.

        Args:
          images: one image or several: paths (local or gs://), URLs, bytes of picture files, PIL images, or uint8
            arrays [height, width, 3].
          top: number of species that an answer ranks.
          flip: whether to average over the image and its mirror image.
          search: whether to look at about 70 parts of the image, and answer for the most typical one; see `search`.

        Returns:
          One answer for one image, a list in order for several. An answer is a dict of species, probability,
          none_of_these (see `Classifier.classify`), top<n> (species and probability) and probabilities (by
          species); with ranks also answer (see `ranking.describe`); with `search` also box, the part that is answered
          for: left, top, right, bottom in pixels of the upright image. Of several images, one that cannot be read has
          error alone, and the others are named.

        Raises:
          UserError: the one image cannot be read or is none, or `search` of a network without a typicality.
        """
        if views_lib.is_one(images):
            [answer] = self.stream([images], top, flip, search)
            if "error" in answer:
                name = os.fspath(images) if isinstance(images, str | os.PathLike) else "the image"
                raise UserError(answer["error"] if name in answer["error"] else f"{name}: {answer['error']}")
            return answer
        return list(self.stream(cast("Iterable[Source]", images), top, flip, search))

    def stream(
        self, images: Iterable[Source], top: int = TOP, flip: bool = False, search: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yields what `predict` returns, batch by batch.

        Args:
          images, top, flip, search: the same as in `predict`.

        Raises:
          UserError: `search` of a network without a typicality.
        """
        for views in self._views(images, search):
            yield from self._answer(views, top, flip)

    def look(
        self, images: Iterable[Source], top: int = TOP, flip: bool = False, search: bool = False
    ) -> Iterator[Look]:
        """Yields answers with heat maps of their first species; each image is read once for both.

        Args:
          images, top, flip, search: the same as in `predict`; the heat map is always that of the image without its
            mirror.

        Raises:
          UserError: `search` of a network without a typicality.
        """
        for views in self._views(images, search):
            answers = list(self._answer(views, top, flip))
            for view, answer, heat_map in zip(views, answers, self._heat_maps(views, answers), strict=True):
                yield Look(answer) if isinstance(view, str) else Look(answer, view.shown(), heat_map)

    def heat_maps(self, images: Iterable[Source]) -> list[Float32[np.ndarray, "side side"] | None]:
        """Returns the Grad-CAM heat map of the first species on each image, float32 [side, side] from 0 to 1, in order.

        Args:
          images: several images, each as in `predict`.

        Returns:
          The maps of the central square that the network sees; None for an image that cannot be read.
        """
        return [look.heat_map for look in self.look(images)]

    def _views(self, images: Iterable[Source], search: bool) -> Iterator[list[View | str]]:
        """Yields what the network sees of each image, or the reason why it cannot be read, batch by batch."""
        if not search:
            yield from views_lib.in_batches(partial(views_lib.or_reason, self._see), images, MAX_BATCH)
            return
        if not self.classifier.has_typicality:
            raise UserError(
                f"{self.classifier.name} has no typicality, by which a search chooses: it is fitted when training "
                "ends, if there are 20 val photos or more"
            )
        for cut in views_lib.in_batches(partial(views_lib.or_reason, self._cut), images, SEARCH_BATCH):
            found = [parts for parts in cut if not isinstance(parts, str)]
            chosen = iter(search_lib.choose_all(self.classifier.excess, found))
            yield [x if isinstance(x, str) else self._part(x, next(chosen)) for x in cut]

    def _see(self, source: Source) -> View:
        """Returns the central square of an image, as a view."""
        classifier = self.classifier
        image, _ = views_lib.to_image(views_lib.read(source), classifier.short_side, classifier.max_pixels)
        fraction = classifier.crop_fraction
        pixels = photo.central_crop(image, fraction, classifier.image_size)
        return View(pixels, lambda: photo.central_crop(image, fraction, max(1, round(min(image.size) * fraction))))

    def _cut(self, source: Source) -> search_lib.Parts:
        """Returns the parts of an image that a search looks at."""
        classifier = self.classifier
        content = views_lib.read(source)
        return search_lib.read_parts(
            lambda side: views_lib.to_image(content, side, classifier.max_pixels),
            classifier.short_side,
            classifier.crop_fraction,
            classifier.image_size,
        )

    @staticmethod
    def _part(parts: search_lib.Parts, number: int) -> View:
        return View(parts.pixels[number], partial(parts.shown, number), parts.boxes[number])

    def _answer(self, views: Sequence[View | str], top: int, flip: bool) -> Iterator[dict[str, Any]]:
        pixels = [view.pixels for view in views if not isinstance(view, str)]
        rows: Iterator[tuple[np.ndarray, np.ndarray]] = iter(())
        if pixels:
            probabilities, refused = self.classifier.classify(np.stack(pixels), flip)
            rows = zip(probabilities, refused, strict=True)
        for view in views:
            if isinstance(view, str):
                yield {"error": view}
            else:
                answer = self._describe(*next(rows), top)
                yield answer if view.box is None else answer | {"box": list(view.box)}

    def _heat_maps(self, views: Sequence[View | str], answers: Sequence[dict[str, Any]]) -> Iterator[np.ndarray | None]:
        pixels = [view.pixels for view in views if not isinstance(view, str)]
        labels = [self.species.index(answer["species"]) for answer in answers if "species" in answer]
        maps: Iterator[np.ndarray] = iter(())
        if pixels:
            found = self.classifier.heat_maps(np.stack(pixels), np.array(labels))
            if found is None:
                raise UserError(f"{self.classifier.name} is an export, which has no heat maps: take the run")
            maps = iter(found)
        for view in views:
            yield None if isinstance(view, str) else next(maps)

    def _describe(self, probabilities: np.ndarray, refused: np.ndarray, top: int) -> dict[str, Any]:
        listed = self.classifier.listed
        answer = {**rank(probabilities, self.species, top, listed), "none_of_these": bool(refused)}
        if self.classifier.ranks is None:
            return answer
        [of_ranks] = self.classifier.ranks.answer(probabilities[None], np.array([refused]), listed)
        return answer | {"answer": describe(of_ranks, bool(refused))}
