"""The ranking of species for one image, and its answer in words, shared by `Predictor` and the application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from butterflyer_jax.data import taxonomy
from butterflyer_jax.metrics.ranks import SPECIES, Answer

TOP = 5
DECIMALS = 6
NONE_OF_THESE = "none of these"


def rank(
    probabilities: Float[np.ndarray, " num_species"],
    species: Sequence[str],
    top: int = TOP,
    listed: Bool[np.ndarray, " num_species"] | None = None,
) -> dict[str, Any]:
    """Returns the ranking for one image.

    Args:
      probabilities: float [species].
      species: names of the species, in the order of the probabilities.
      top: number of species that are ranked.
      listed: bool [species], species that can occur, which alone are ranked; None for all of them.

    Returns:
      A dict of species and probability (of the most probable), top<n> (a list of species and probability, the most
      probable first) and probabilities (by species), rounded to `DECIMALS`.
    """
    rounded = [round(float(probability), DECIMALS) for probability in probabilities]
    order = [place for place in np.argsort(-probabilities) if listed is None or listed[place]][:top]
    ranked = [{"species": species[place], "probability": rounded[place]} for place in order]
    return {**ranked[0], f"top{top}": ranked, "probabilities": dict(zip(species, rounded, strict=True))}


def describe(answer: Answer, refused: bool) -> dict[str, Any]:
    """Returns the answer at the lowest rank that is sure enough.

    Args:
      answer: the answer for one image.
      refused: whether the image is none of the species.

    Returns:
      A dict of rank (None where no rank is sure enough), name and probability of the taxon, and text, in plain words:
      "a Painted Lady", "a brush-footed butterfly, perhaps a Painted Lady", "not sure, perhaps a Painted Lady" or "none
      of these, or unlike the training photos; nearest a Painted Lady".
    """
    species = taxonomy.in_words(SPECIES, answer.species)
    perhaps = f"perhaps {species}"
    if refused:
        # A known species is refused too where the photo is of another kind than those of training.
        text = f"{NONE_OF_THESE}, or unlike the training photos; nearest {species}"
    elif not answer.rank:
        text = f"not sure, {perhaps}"
    else:
        words = taxonomy.in_words(answer.rank, answer.taxon)
        text = words if answer.rank == SPECIES else f"{words}, {perhaps}"
    return {
        "rank": answer.rank or None,
        "name": answer.taxon or None,
        "probability": round(answer.probability, DECIMALS) if answer.rank else None,
        "text": text,
    }
