"""The ranking of species for one image, shared by `Predictor` and the application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TOP = 5
DECIMALS = 6


def rank(probabilities: np.ndarray, species: Sequence[str], top: int = TOP) -> dict[str, Any]:
    """Returns the answer for one image.

    Args:
      probabilities: float [species].
      species: names of the species, in the order of the probabilities.
      top: number of species that are ranked.

    Returns:
      A dict of species and probability (of the most probable), top<n> (a list of species and probability, the most
      probable first) and probabilities (by species), rounded to `DECIMALS`.
    """
    rounded = [round(float(probability), DECIMALS) for probability in probabilities]
    order = np.argsort(-probabilities)[:top]
    ranked = [{"species": species[place], "probability": rounded[place]} for place in order]
    return {**ranked[0], f"top{top}": ranked, "probabilities": dict(zip(species, rounded, strict=True))}
