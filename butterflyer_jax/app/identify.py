"""From picture files to names: what the page and the API answer for a batch of uploads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from butterflyer_jax.data import photo
from butterflyer_jax.inference.ranking import rank

# Calibrated: of names given with less, one in five or more is wrong.
SURE = 0.8
NAMED, UNSURE, NONE = "named", "unsure", "none"


class Classifier(Protocol):
    """A trained network, however it is kept.

    Attributes:
      name: of the run or file.
      species: names, in the order of the probabilities.
      threshold: probability of the first species below which a photograph is none of these.
      short_side: that a photograph is scaled to, pixels.
      crop_fraction: side of the central square that is looked at, of the short side.
      image_size: side of the network's input, pixels.
    """

    name: str
    species: tuple[str, ...]
    threshold: float
    short_side: int
    crop_fraction: float
    image_size: int

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns float [batch, species] of uint8 [batch, image_size, image_size, 3]."""

    def heat_maps(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        """Returns float [batch, side, side] from 0 to 1, where the network looks for these labels; None if unknown."""


@dataclass(frozen=True)
class Upload:
    """A picture file, and whether the heat map is wanted."""

    data: bytes
    heat_map: bool = False


class Identifier:
    """Answers batches of uploads."""

    def __init__(self, classifier: Classifier, max_pixels: int) -> None:
        """Takes the network, and the largest picture that is decoded, in pixels."""
        self.classifier = classifier
        self._max_pixels = max_pixels
        self._threads = ThreadPoolExecutor(os.cpu_count(), "decode")

    def warm_up(self, max_batch: int) -> None:
        """Compiles what every size of a batch needs, so that no visitor waits for it."""
        size = 1
        while size <= max_batch:
            images = np.zeros((size, *2 * (self.classifier.image_size,), 3), np.uint8)
            self.classifier.probabilities(images)
            self.classifier.heat_maps(images, np.zeros(size, np.int64))
            size *= 2

    def answer(self, uploads: Sequence[Upload]) -> list[dict[str, Any]]:
        """Returns one answer an upload, in order.

        A dict of sha256 (of the file), verdict (named, unsure, none), species, probability, top5 (species and
        probability), probabilities (by species) and, where it was wanted and is known, heat_map: values (rows from 0
        to 1) and crop_fraction (the side of the central square that they cover, of the short side). Of a file that is
        no photograph, error alone.
        """
        inputs = list(self._threads.map(self._load, uploads))
        hashes = list(self._threads.map(_sha256, uploads))
        good = [number for number, found in enumerate(inputs) if not isinstance(found, str)]
        answers: list[dict[str, Any]] = [{"error": found} if isinstance(found, str) else {} for found in inputs]
        if not good:
            return answers
        images = np.stack([inputs[number] for number in good])
        probabilities = self.classifier.probabilities(images)
        for number, of_one in zip(good, probabilities, strict=True):
            answers[number] = {"sha256": hashes[number], **self.describe(of_one)}
        asked = [place for place, number in enumerate(good) if uploads[number].heat_map]
        if asked:
            maps = self.classifier.heat_maps(images[asked], probabilities[asked].argmax(axis=1))
            for place, heat in zip(asked, maps if maps is not None else [], strict=False):
                values = [[round(float(value), 3) for value in row] for row in heat]
                answers[good[place]]["heat_map"] = {
                    "values": values,
                    "crop_fraction": self.classifier.crop_fraction,
                }
        return answers

    def describe(self, probabilities: np.ndarray) -> dict[str, Any]:
        """Returns the answer for one photograph, of its float [species]."""
        highest = float(probabilities.max())
        verdict = NONE if highest < self.classifier.threshold else NAMED if highest >= SURE else UNSURE
        return {"verdict": verdict, **rank(probabilities, self.classifier.species)}

    def _load(self, upload: Upload) -> np.ndarray | str:
        try:
            image, _ = photo.load(upload.data, self.classifier.short_side, self._max_pixels)
        except photo.PhotoError as error:
            return str(error)
        return photo.central_crop(image, self.classifier.crop_fraction, self.classifier.image_size)


def _sha256(upload: Upload) -> str:
    return hashlib.sha256(upload.data).hexdigest()
