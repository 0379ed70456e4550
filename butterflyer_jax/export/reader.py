"""The reader of exported networks, in their own runtimes; of safetensors, which hold weights alone, in JAX."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Integer, UInt8

from butterflyer_jax import console, extras
from butterflyer_jax.config import BuildConfig, DataConfig, ModelConfig
from butterflyer_jax.data import species_map
from butterflyer_jax.distributed import compile_cache
from butterflyer_jax.errors import UserError
from butterflyer_jax.export.exporter import FORMATS, writer_of
from butterflyer_jax.export.network import PROBABILITIES, TYPICALITY, Network
from butterflyer_jax.export.places import CARD, companion
from butterflyer_jax.inference.classifier import Classifier, TrainedClassifier, padded
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.metrics.ranks import Ranks
from butterflyer_jax.runs import checksums
from butterflyer_jax.runs.folder import CONFIG_FILE
from butterflyer_jax.storage import paths
from butterflyer_jax.storage.errors import words_of


class ExportClassifier(Classifier):
    """Classifier of an exported file or folder and the card beside it."""

    def __init__(self, path: str | os.PathLike[str], species_list: str | os.PathLike[str] | None = None) -> None:
        """Opens a local export.

        Args:
          path: file or folder that was exported.
          species_list: file with the species that can occur, see `data.species_map.read_list`; None for all of them.

        Raises:
          UserError: the export, its card or its runtime is missing, it lies in a bucket, or the list names a species
            that it does not know.
        """
        if paths.is_remote(path):
            raise UserError(f"{path}: copy the export, and the files beside it, to this machine first")
        self._has_answered = False
        place = Path(paths.path(path))
        if not place.exists():
            raise UserError(f"no model in {path}")
        try:
            card = json.loads(companion(place, CARD).read_text(encoding="utf-8"))
            given = card["input"]
            self.name = place.name
            # Cards of earlier versions do not say.
            if corrections := card.get("corrections"):
                self.name += f", last layer of {corrections} corrections"
            self.species = tuple(card["species"])
            self.threshold = float(card["threshold"])
            self.calibration = Calibration(float(card["temperature"]), self.threshold, int(card["step"]))
            self.ranks = Ranks.from_json(json.dumps(card["ranks"])) if card.get("ranks") else None
            self.short_side = int(given["short_side"])
            self.crop_fraction = float(given["crop_fraction"])
            self.image_size = int(given["shape"][1])
            self.max_pixels = BuildConfig().max_pixels
            # Cards of earlier versions have none.
            typicality = card.get("typicality")
            self.limit = None if typicality is None else float(typicality["limit"])
            format = card["format"]
            checksums_of_card = dict(card.get("checksums") or {})
            model = ModelConfig(**card["model"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(_what_instead(place)) from error
        _check_unchanged(place, checksums_of_card)
        if format not in FORMATS:
            raise UserError(f"{path} is an export of another version of butterflyer_jax: unknown format {format}")
        writer = writer_of(format)
        extras.require("export", *writer.NEEDS, purpose=f"format {format}")
        self.listed = None if species_list is None else species_map.read_list(species_list, self.species)
        if hasattr(writer, "read"):
            from butterflyer_jax.export import reference

            data = DataConfig(image_size=self.image_size, eval_crop_fraction=self.crop_fraction)
            layers = writer.read(place)
            network = Network(self.species, model, data, self.short_side, self.calibration.temperature, layers)
            self._answer: Callable[[np.ndarray], dict[str, Any]] = reference.make_answers(network)
        else:
            self._answer = _read(writer.READ, place)

    def outputs(
        self, images: UInt8[np.ndarray, "batch side side 3"]
    ) -> tuple[Float32[np.ndarray, "batch num_species"], Float32[np.ndarray, " batch"] | None]:
        """Returns probabilities and typicality; see `Classifier.outputs`."""
        # TensorFlow announces its processor options at the first operation.
        with contextlib.nullcontext() if self._has_answered else console.without_stderr():
            answered = self._answer(padded(images))
            outputs = {name: np.asarray(array)[: len(images)] for name, array in answered.items()}
        self._has_answered = True
        return outputs[PROBABILITIES], None if self.limit is None else outputs[TYPICALITY]

    def heat_maps(self, images: UInt8[np.ndarray, "batch side side 3"], labels: Integer[np.ndarray, " batch"]) -> None:
        """Returns None: exports have no heat maps."""


def open_classifier(run: str | None, model: str | None, species_list: str | None) -> Classifier:
    """Opens the network of a run's best checkpoint, or an export, for a command that takes either.

    Args:
      run: folder of a run; None for an export.
      model: file or folder that was exported; None for a run.
      species_list: file with the species that can occur; None for all of them.

    Raises:
      UserError: as `TrainedClassifier.load` and `ExportClassifier` do.
    """
    if model is not None:
        return ExportClassifier(model, species_list)
    assert run is not None, "argparse holds that one of both is given"
    classifier = TrainedClassifier.load(run, species_list=species_list)
    # A program for each size of a batch, most of which compile faster than what JAX keeps by itself.
    compile_cache.keep_for(classifier.config, min_seconds=0)
    return classifier


def _what_instead(place: Path) -> str:
    """Returns what lies where an export was expected, and what to take."""
    if (place / CONFIG_FILE).is_file():
        return f"{place} is a run folder, not an export: take --run {place}"
    if not companion(place, CARD).is_file():
        inside = sorted(os.fspath(path) for path in place.glob("*") if companion(path, CARD).is_file())
        if inside:
            return f"{place} is a folder of exports: take --model {' or '.join(inside)}"
        return f"{place} has no card beside it ({companion(place, CARD).name}): `butterflyer export` writes both"
    return f"{companion(place, CARD)}, the card of {place.name}, cannot be read: export again, or copy it again"


def _check_unchanged(place: Path, expected: Mapping[str, Any]) -> None:
    """Raises a UserError where a file of an export has another checksum than its card says."""
    for name, checksum in expected.items():
        if not (place / name).is_file() or checksums.checksum(place / name) != checksum:
            raise UserError(
                f"{place / name} is not what was exported (another checksum than in its card): copy it again, or "
                'export it again; if you changed it on purpose, remove "checksums" from the card'
            )


def _read(code: str, path: Path) -> Callable[[np.ndarray], dict[str, Any]]:
    """Returns `answer` from a format's own reading code, with which each export was checked."""
    names: dict[str, Any] = {"path": str(path)}
    try:
        with console.without_stderr():
            exec(code, names)
    except Exception as error:
        raise UserError(f"cannot read {path}: {words_of(error)}") from error
    return names["answer"]
