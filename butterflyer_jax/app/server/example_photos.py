"""The example photos of a run as the page gets them: files named after their content, which a browser keeps."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from butterflyer_jax.runs.examples import Examples

# A name stands for one content for ever.
CACHE_CONTROL = "private, max-age=31536000, immutable"


class ExamplePhotos:
    """The files, and which species they and its look-alikes belong to.

    Attributes:
      files: JPEGs by name.
      names: of each species of the model the names of its files, the most typical one first.
      look_alikes: of each species of the model those that it is confused with, the most confused one first.
    """

    def __init__(self, examples: Examples | None, species: tuple[str, ...]) -> None:
        """Takes the examples of a run, None where it has none, and the species of its model."""
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
