"""A run that names drawn butterflies: three by names that the knowledge base has, and one that it has not."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

from butterflyer_jax.synthetic.photo import draw_photo
from butterflyer_jax.synthetic.species import SPECIES
from tests.conftest import ROOT

NAMES = {
    "Leadlight Monk": "Monarch",
    "Pennant Swordtail": "Giant Swallowtail",
    "Painted Oarwing": "Zebra Longwing",
    "Freckled Pardine": "Freckled Pardine",
}
PHOTOS_PER_SPECIES = 48


def draw(name: str, number: int, width: int = 200, height: int = 150) -> bytes:
    """Returns a JPEG of a drawn butterfly, by a value of NAMES or a name of its own; each number another picture."""
    [species] = [species for species in SPECIES if NAMES.get(species.name, species.name) == name]
    image = draw_photo(species, np.random.default_rng([7, SPECIES.index(species), number]), width, height)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def train(folder: Path) -> Path:
    """Returns the folder of a run of the training command on such drawings."""
    raw, run = folder / "drawn.zip", folder / "run"
    with zipfile.ZipFile(raw, "w") as archive:
        for name in NAMES.values():
            for number in range(PHOTOS_PER_SPECIES):
                archive.writestr(f"{name}/{number:03}.jpg", draw(name, number))
    line = ["--config", "configs/demo.py", "--input", str(raw), "--output", str(run), "--config.export.format=none"]
    command = [sys.executable, "-m", "butterflyer_jax.train", *line]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return run
