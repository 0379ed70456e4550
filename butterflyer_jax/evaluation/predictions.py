"""predictions.csv: one row per photo of an evaluation, with the answer, its group and every probability."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from butterflyer_jax.data.species_map import UNKNOWN
from butterflyer_jax.metrics import calibration
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.metrics.ranks import Answer
from butterflyer_jax.storage import files

FILE = "predictions.csv"
DECIMALS = 6


@dataclass(frozen=True)
class Predictions:
    """The model's answers to the photos of an evaluation, split after split.

    Attributes:
      labels: int64 [count], labels of the run; `species_map.UNKNOWN` where the run does not know the species.
      logits: float32 [count, num_classes].
      refused: bool [count], whether the answer is "none of these".
      photo_ids: path of each photo in its source.
      names: species of each photo as the data names it.
      places: split of each photo, and its index within the split.
      answers: answer at the lowest rank that is sure enough; None where the run has no ranks.
    """

    labels: Int64[np.ndarray, " count"]
    logits: Float32[np.ndarray, "count num_classes"]
    refused: Bool[np.ndarray, " count"]
    photo_ids: list[str]
    names: list[str]
    places: list[tuple[str, int]]
    answers: list[Answer] | None = None

    def among(self, listed: Bool[np.ndarray, " num_classes"], calibrated: Calibration) -> Predictions:
        """Returns the answers where only listed species, bool [num_classes], can occur.

        The other species have no probability, and their photos are of species that the run does not know.
        """
        _, refused = calibration.among_listed(calibrated.probabilities(self.logits), self.refused, listed)
        known = (self.labels != UNKNOWN) & listed[self.labels]
        logits = np.where(listed, self.logits, -np.inf)
        return dataclasses.replace(self, labels=np.where(known, self.labels, UNKNOWN), logits=logits, refused=refused)


def write(
    path: Any,
    scored: Predictions,
    calibrated: Calibration,
    species: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    groups: Mapping[str, str],
) -> None:
    """Writes photo_id, split, label, known_as, species, probability, none_of_these, group, slices, all probabilities.

    With ranks also rank and taxon, of the answer at the lowest rank that is sure enough. Of slices and species whose
    names other columns have, "slice" or "probability" follows the name.

    Args:
      path: file to write, local or gs://.
      scored: the photos and their logits; `label` is the species as the data names it, `known_as` as the run
        names it, empty for none.
      calibrated: temperature of the answers.
      species: species of the run, in the order of the logits.
      columns: values of slices, in the order of the photos.
      groups: group of each photo that shares one with others.
    """
    probabilities = calibrated.probabilities(scored.logits)
    ranked = ("rank", "taxon") if scored.answers is not None else ()
    first = ("photo_id", "split", "label", "known_as", "species", "probability", "none_of_these", "group", *ranked)
    of_slices = [f"{column} (slice)" if column in first else column for column in columns]
    taken = {*first, *of_slices}
    header = (*first, *of_slices, *(f"{name} (probability)" if name in taken else name for name in species))
    rows = (
        (
            photo_id,
            split,
            name,
            species[label] if label != UNKNOWN else "",
            species[int(of_photo.argmax())],
            round(float(of_photo.max()), DECIMALS),
            str(bool(is_refused)).lower(),
            groups.get(photo_id, ""),
            *((scored.answers[number].rank, scored.answers[number].taxon) if scored.answers is not None else ()),
            *(values[number] for values in columns.values()),
            *(round(float(value), DECIMALS) for value in of_photo),
        )
        for number, (photo_id, (split, _), name, label, of_photo, is_refused) in enumerate(
            zip(
                scored.photo_ids,
                scored.places,
                scored.names,
                scored.labels,
                probabilities,
                scored.refused,
                strict=True,
            )
        )
    )
    files.write_csv(path, header, rows)
