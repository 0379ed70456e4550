"""Identification of a batch of decoded uploads: the answers of the page and the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from butterflyer_jax.inference.classifier import Classifier
from butterflyer_jax.inference.ranking import describe, rank
from butterflyer_jax.metrics.ranks import MIN_PROBABILITY, SPECIES

# Smallest probability of a named species in a run without ranks.
SURE = MIN_PROBABILITY
NAMED, HIGHER, UNSURE, NONE = "named", "higher", "unsure", "none"


@dataclass(frozen=True)
class Upload:
    """A decoded photo.

    Attributes:
      pixels: input of the network, uint8 [image_size, image_size, 3].
      sha256: SHA-256 of the file, hexadecimal.
      heat_map: whether to compute the heat map.
    """

    pixels: UInt8[np.ndarray, "side side 3"]
    sha256: str
    heat_map: bool = False


@dataclass(frozen=True)
class SearchStep:
    """Some of the parts of a photo that is searched.

    Attributes:
      pixels: input of the network, uint8 [count, image_size, image_size, 3].
    """

    pixels: UInt8[np.ndarray, "count side side 3"]


class Identifier:
    """Identifier of batches of uploads."""

    def __init__(self, classifier: Classifier) -> None:
        """Takes the classifier."""
        self.classifier = classifier

    def warm_up(self, max_batch: int) -> None:
        """Compiles the network for every batch size, so that no visitor waits for it."""
        size = 1
        while size <= max_batch:
            images = np.zeros((size, *2 * (self.classifier.image_size,), 3), np.uint8)
            self.classifier.classify(images)
            self.classifier.heat_maps(images, np.zeros(size, np.int64))
            size *= 2

    def answer(self, items: Sequence[Upload | SearchStep]) -> list[Any]:
        """Returns one answer per upload, and of a search's parts their `Classifier.excess`, in order.

        An answer is a dict of sha256, verdict (named, higher for a rank above the species, unsure, none), species,
        probability, top5 (species and probability), probabilities (by species); with ranks, answer (see
        `ranking.describe`); and, where requested and available, heat_map: values (rows from 0 to 1) and crop_fraction
        (the side of the central square that they cover, as a fraction of the short side).
        """
        uploads = [item for item in items if isinstance(item, Upload)]
        answers = iter(self._answer(uploads) if uploads else ())
        return [next(answers) if isinstance(x, Upload) else self.classifier.excess(x.pixels) for x in items]

    def _answer(self, uploads: Sequence[Upload]) -> list[dict[str, Any]]:
        images = np.stack([upload.pixels for upload in uploads])
        probabilities, refused = self.classifier.classify(images)
        answers = [
            {"sha256": upload.sha256, **self.describe(of_one, bool(is_refused))}
            for upload, of_one, is_refused in zip(uploads, probabilities, refused, strict=True)
        ]
        asked = [number for number, upload in enumerate(uploads) if upload.heat_map]
        if asked:
            maps = self.classifier.heat_maps(images[asked], probabilities[asked].argmax(axis=1))
            for number, heat in zip(asked, maps if maps is not None else [], strict=False):
                values = [[round(float(value), 3) for value in row] for row in heat]
                answers[number]["heat_map"] = {"values": values, "crop_fraction": self.classifier.crop_fraction}
        return answers

    def describe(self, probabilities: Float[np.ndarray, " num_species"], refused: bool) -> dict[str, Any]:
        """Returns the answer for one photo, from float [species] probabilities and whether the photo is refused."""
        listed = self.classifier.listed
        ranked = rank(probabilities, self.classifier.species, listed=listed)
        if self.classifier.ranks is None:
            sure = float(probabilities.max()) >= SURE
            return {"verdict": NONE if refused else NAMED if sure else UNSURE, **ranked}
        [answer] = self.classifier.ranks.answer(probabilities[None], np.array([refused]), listed)
        reached = NAMED if answer.rank == SPECIES else HIGHER if answer.rank else UNSURE
        return {"verdict": NONE if refused else reached, **ranked, "answer": describe(answer, refused)}
