"""Example photos of a run's species, and the species that it confuses: what the application shows beside an answer."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from butterflyer_jax.runs.folder import Run, read_fitted
from butterflyer_jax.storage import files

FILE = "examples.zip"
_INDEX = "examples.json"


@dataclass(frozen=True)
class Examples:
    """What `examples.zip` of a run folder holds.

    Attributes:
      photos: JPEGs of each species, the most typical one first.
      look_alikes: of each species, those that the network confuses it with, the most confused one first.
      photos_per_species: number of photos that were wanted of each species; a species may have fewer.
      step: training step of the checkpoint.
    """

    photos: Mapping[str, tuple[bytes, ...]]
    look_alikes: Mapping[str, tuple[str, ...]]
    photos_per_species: int
    step: int

    def to_bytes(self) -> bytes:
        """Returns the content of the file, which any program for zips opens."""
        buffer = io.BytesIO()
        members: dict[str, list[str]] = {}
        with zipfile.ZipFile(buffer, "w") as archive:
            for label, (species, jpegs) in enumerate(self.photos.items()):
                # Names of species may hold what no file name does.
                members[species] = [f"{label:04}_{number}.jpg" for number in range(len(jpegs))]
                for member, jpeg in zip(members[species], jpegs, strict=True):
                    archive.writestr(zipfile.ZipInfo(member), jpeg)
            look_alikes = {species: list(others) for species, others in self.look_alikes.items()}
            index = {
                "step": self.step,
                "photos_per_species": self.photos_per_species,
                "photos": members,
                "look_alikes": look_alikes,
            }
            archive.writestr(zipfile.ZipInfo(_INDEX), json.dumps(index, indent=2, ensure_ascii=False))
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Examples:
        """Returns what `to_bytes` wrote.

        Raises:
          ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile: the bytes were not written by `to_bytes`.
        """
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            index = json.loads(archive.read(_INDEX))
            photos = {
                species: tuple(archive.read(member) for member in members)
                for species, members in index["photos"].items()
            }
        look_alikes = {species: tuple(others) for species, others in index["look_alikes"].items()}
        return cls(photos, look_alikes, index["photos_per_species"], index["step"])


def read(run: Run) -> Examples | None:
    """Returns the examples of a run, None where it has none, or its config switches them off.

    Raises:
      UserError: their file is damaged.
    """
    if not run.config.examples.photos_per_species:
        return None
    return read_fitted(run.folder / FILE, Examples.from_bytes)


def write(run: Run, examples: Examples) -> None:
    """Writes the examples into the folder of a run."""
    files.write_bytes(run.folder / FILE, examples.to_bytes())
