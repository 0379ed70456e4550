"""Example photos of a run, served under names made from their content, which browsers can cache."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from butterflyer_jax.runs.examples import Examples

# The content of a name never changes.
CACHE_CONTROL = "private, max-age=31536000, immutable"


class ExamplePhotos:
    """The files of example photos by species, and the look-alikes of each species.

    Attributes:
      files: JPEGs by name.
      names: file names of each species of the model, most typical first.
      look_alikes: species that each species is confused with, most often first.
    """

    def __init__(self, examples: Examples | None, species: tuple[str, ...]) -> None:
        """Takes the examples of a run, None for none, and the species of its model."""
        self.files: dict[str, bytes] = {}
        self.names: dict[str, list[str]] = {}
        self.look_alikes: dict[str, list[str]] = {}
        for label in species if examples else ():
            assert examples is not None
            self.names[label] = []
            for jpeg in examples.photos.get(label, ()):
                name = f"{hashlib.sha256(jpeg).hexdigest()[:16]}.jpg"
                self.files[name] = jpeg
                self.names[label].append(name)
            self.look_alikes[label] = [other for other in examples.look_alikes.get(label, ()) if other in species]
