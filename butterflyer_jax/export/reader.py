"""The reader of exported networks, in their own runtimes."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from butterflyer_jax.errors import UserError
from butterflyer_jax.export.exporter import CARD, FORMATS, companion, require
from butterflyer_jax.inference.classifier import padded

# Formats that need normalised pixels and PyTorch.
UNREADABLE = ("safetensors",)


class ExportClassifier:
    """Classifier of an exported file or folder and the card beside it; see `app.identify.Classifier`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens an export.

        Raises:
          UserError: the export, its card or its runtime is missing.
        """
        place = Path(path)
        if not place.exists():
            raise UserError(f"no model in {path}")
        try:
            card = json.loads(companion(place, CARD).read_text(encoding="utf-8"))
            given = card["input"]
            self.name = place.name
            self.species = tuple(card["species"])
            self.threshold = float(card["threshold"])
            self.short_side = int(given["short_side"])
            self.crop_fraction = float(given["crop_fraction"])
            self.image_size = int(given["shape"][1])
            format = card["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} has no card of butterflyer_jax.export beside it that can be read") from error
        if format not in FORMATS or format in UNREADABLE:
            raise UserError(f"the application cannot answer by {format}; export the run as onnx")
        writer = importlib.import_module(f"butterflyer_jax.export.{format}")
        require(writer, format)
        self._call = _read(writer.READ, place)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns float32 [batch, species] of uint8 [batch, image_size, image_size, 3]."""
        return np.asarray(self._call(padded(images)))[: len(images)]

    def classify(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns `probabilities`, and bool [batch]: whether the highest is below the threshold of the card."""
        probabilities = self.probabilities(images)
        return probabilities, probabilities.max(axis=1) < self.threshold

    def heat_maps(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Returns None: exports have no heat maps."""


def _read(code: str, path: Path) -> Callable[[np.ndarray], Any]:
    """Returns `probabilities` from a format's own reading code, with which each export was checked."""
    names: dict[str, Any] = {"path": str(path)}
    try:
        exec(code, names)
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"cannot read {path}: {reason[0]}") from error
    result: Callable[[np.ndarray], Any] = names["probabilities"]
    return result
